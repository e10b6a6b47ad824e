// SPDX-License-Identifier: Apache-2.0

// The peer that bench/run measures against: the simulator library of Debian's
// golang-github-vmware-govmomi-dev, filled with as many powered-on virtual machines on one host as we
// simulate ourselves, behind plain HTTP. It prints its URL once it answers, and ends on SIGTERM or SIGINT.
package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/vmware/govmomi/simulator"
)

func main() {
	vms := flag.Int("vms", 10000, "virtual machines")
	listen := flag.String("listen", "127.0.0.1:0", "address and port")
	flag.Parse()

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)

	model := simulator.ESX() // one standalone host, as ours
	model.Machine = *vms
	model.Autostart = true
	defer model.Remove() // its datastore is a folder of files in TMPDIR
	if err := model.Create(); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
	model.Service.Listen = &url.URL{
		Scheme: "http",
		Host:   *listen,
		User:   url.UserPassword("root", "bench-password"),
	}
	server := model.Service.NewServer()
	defer server.Close()
	fmt.Printf("http://%s\n", server.URL.Host)
	<-stop
}
