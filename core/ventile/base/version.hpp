// The version of Ventile, for programs and plugins that say what they were built with. The build reads it from here.
#pragma once

#define VENTILE_VERSION "0.1.0"
