// SPDX-License-Identifier: Apache-2.0
/*
 * Views: lists of objects that a session keeps (container, list and inventory views), and the search
 * index. A container view follows the inventory: an object that comes or goes below its container is added
 * to or removed from `view` at a cost that does not depend on the view's size (but for the search in the
 * list on removal).
 *
 * It relies on whoever changes the inventory: an object is added before a parent lists it, and its parents
 * stop listing it before it is removed. A view lists objects whether or not its session may read them, as
 * only their ids show; the property collector hides the rest.
 */
#pragma once

#include "vim/server.h"

extern const struct ViewManager_methods vim_view_manager_methods;
extern const struct ContainerView_methods vim_container_view_methods;
extern const struct ListView_methods vim_list_view_methods;
extern const struct InventoryView_methods vim_inventory_view_methods;
extern const struct SearchIndex_methods vim_search_index_methods;
