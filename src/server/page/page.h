// The page: a chat and a view of the KV cache, as files built into the program.
//
// GET / and the files it asks for. Nothing in them comes from elsewhere, and the browser is told
// so.
#pragma once

#include "server/router.h"

namespace octavo::server {

void add_page_routes(Router& router);

}  // namespace octavo::server
