// Was built with something else.
extern "C" const char* ventile_plugin_abi() { return "ventile-plugin 0, from another world"; }
extern "C" void ventile_plugin_register(void*) { __builtin_trap(); }
