# The few words in which every leaf CMakeLists.txt says what depends on what.

# ventile_options(TARGET): C++20, our warnings and the chosen sanitizers, for this target only.
function(ventile_options target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Woverloaded-virtual
    -Wimplicit-fallthrough -Wno-missing-field-initializers
    $<$<BOOL:${VENTILE_WARNINGS_AS_ERRORS}>:-Werror>)
  if(VENTILE_HARDEN AND NOT VENTILE_SANITIZE)
    set(optimised "$<CONFIG:Release,RelWithDebInfo,MinSizeRel>")
    target_compile_options(${target} PRIVATE
      "$<${optimised}:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=2;-fstack-protector-strong>")
    target_link_options(${target} PRIVATE "$<${optimised}:LINKER:-z,relro,-z,now>")
  endif()
  if(VENTILE_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${VENTILE_SANITIZE} -fno-sanitize-recover=all
                           -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=${VENTILE_SANITIZE})
  endif()
endfunction()

# ventile_runs_long(TARGET): the sanitizers' tests spend their time in it, so that it is optimised a little even where
# the build type asks for nothing. What is not compiles the faster for it.
function(ventile_runs_long target)
  if(VENTILE_SANITIZE)
    target_compile_options(${target} PRIVATE -O1)
  endif()
endfunction()

# ventile_sources_with_regex(FILE …): these use std::regex. g++ 12 takes its moves for reads of what was never written,
# once a sanitizer has instrumented them.
function(ventile_sources_with_regex)
  if(VENTILE_SANITIZE)
    set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS -Wno-maybe-uninitialized)
  endif()
endfunction()

# ventile_library(NAME HEADERS … SOURCES … USES … USES_PRIVATELY …) makes ventile::NAME from this folder. What it is made
# of is remembered, for the libraries that users link (VentileLibraries.cmake) have the same objects and headers.
function(ventile_library name)
  cmake_parse_arguments(arg "" "" "HEADERS;SOURCES;USES;USES_PRIVATELY" ${ARGN})
  string(REGEX MATCH "^.*/(core|patterns)/ventile" within "${CMAKE_CURRENT_SOURCE_DIR}")
  set(group "${CMAKE_MATCH_1}")
  get_filename_component(include_root "${within}" DIRECTORY)
  add_library(ventile_${name} STATIC ${arg_SOURCES})
  add_library(ventile::${name} ALIAS ventile_${name})
  ventile_options(ventile_${name})
  ventile_runs_long(ventile_${name})
  target_sources(ventile_${name} PUBLIC FILE_SET HEADERS BASE_DIRS "${include_root}" FILES ${arg_HEADERS})
  set_target_properties(ventile_${name} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
  target_link_libraries(ventile_${name} PUBLIC ${arg_USES} PRIVATE ${arg_USES_PRIVATELY})

  list(TRANSFORM arg_HEADERS PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/")
  set(strangers ${arg_USES} ${arg_USES_PRIVATELY})
  list(FILTER strangers EXCLUDE REGEX "^ventile::")
  set_property(GLOBAL APPEND PROPERTY VENTILE_${group}_PARTS ventile_${name})
  set_property(GLOBAL APPEND PROPERTY VENTILE_${group}_HEADERS ${arg_HEADERS})
  set_property(GLOBAL APPEND PROPERTY VENTILE_${group}_USES ${strangers})
endfunction()

# ventile_program(NAME [INSTALLED] SOURCES … USES …) makes the executable NAME in build/<preset>/bin.
function(ventile_program name)
  cmake_parse_arguments(arg "INSTALLED" "" "SOURCES;USES" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  ventile_options(${name})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE ${arg_USES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
  if(arg_INSTALLED)
    set_property(GLOBAL APPEND PROPERTY VENTILE_PROGRAMS ${name})
  endif()
endfunction()

# ventile_plugin(NAME SOURCES …) makes NAME.so, which a worker loads with --plugin, in build/<preset>/plugins.
function(ventile_plugin name)
  cmake_parse_arguments(arg "" "" "SOURCES;USES" ${ARGN})
  add_library(${name} MODULE ${arg_SOURCES})
  ventile_options(${name})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE ventile::task ${arg_USES})
  set_target_properties(${name} PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/plugins")
endfunction()

# ventile_test(NAME SOURCES … USES … [LABELS …]) makes the GoogleTest program NAME and registers its tests.
# Labels are unit (the default), simulation or system, and threaded where ThreadSanitizer has something to see.
# gtest_discover_tests cannot pass on a list, so they are joined; ctest -L searches, and finds each of them still.
# The target tests-LABEL builds the programs of one label and no more; what they start at run time is theirs to name
# with add_dependencies.
function(ventile_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;USES;LABELS" ${ARGN})
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  list(JOIN arg_LABELS "-" labels)
  add_executable(${name} ${arg_SOURCES})
  ventile_options(${name})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE ${arg_USES} GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST PROPERTIES LABELS "${labels}" TIMEOUT 120)
  foreach(label IN LISTS arg_LABELS)
    if(NOT TARGET tests-${label})
      add_custom_target(tests-${label})
    endif()
    add_dependencies(tests-${label} ${name})
  endforeach()
endfunction()

# ventile_bench(NAME SOURCES … USES …) makes the Google Benchmark program NAME in build/<preset>/bench.
function(ventile_bench name)
  cmake_parse_arguments(arg "" "" "SOURCES;USES" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  ventile_options(${name})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE ${arg_USES} benchmark::benchmark)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bench")
endfunction()
