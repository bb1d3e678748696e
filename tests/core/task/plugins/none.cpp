// A library, but no plugin.
extern "C" int answer() { return 42; }
