# SPDX-License-Identifier: Apache-2.0
"""The schema language of api/*.api: parser, checks and emitters. Run as `python3 -m schema`."""
