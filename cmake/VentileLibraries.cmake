# The two libraries that a user links, ventile::core and ventile::patterns, made of the objects of all parts below core
# and patterns: each is compiled once, whatever is linked from it.

# ventile_public_library(NAME KIND USES …) makes ventile_NAME_KIND, shared or static, installed as ventile::NAME.
function(ventile_public_library name kind)
  cmake_parse_arguments(arg "" "" "USES" ${ARGN})
  foreach(property PARTS HEADERS USES)
    get_property(${property} GLOBAL PROPERTY VENTILE_${name}_${property})
  endforeach()
  list(REMOVE_DUPLICATES USES)
  list(TRANSFORM PARTS REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>")
  set(target ventile_${name}_${kind})
  string(TOUPPER ${kind} type)
  add_library(${target} ${type} ${PARTS})
  ventile_options(${target})
  target_sources(${target} PUBLIC FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}/${name}" FILES ${HEADERS})
  target_link_libraries(${target} PUBLIC ${arg_USES} PRIVATE ${USES})
  set_target_properties(${target} PROPERTIES
    OUTPUT_NAME ventile-${name} EXPORT_NAME ${name} LINKER_LANGUAGE CXX
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
endfunction()

# Both kinds are installed. A project that has Ventile as a part of itself gets the kind that BUILD_SHARED_LIBS asks for,
# and only that.
function(ventile_public_libraries)
  set(chosen static)
  if(BUILD_SHARED_LIBS)
    set(chosen shared)
  endif()
  set(kinds ${chosen})
  if(VENTILE_INSTALL)
    set(kinds shared static)
  endif()
  foreach(kind IN LISTS kinds)
    ventile_public_library(core ${kind})
    ventile_public_library(patterns ${kind} USES ventile_core_${kind})
  endforeach()
  foreach(name core patterns)
    add_library(ventile::${name} ALIAS ventile_${name}_${chosen})
  endforeach()
endfunction()
