# `cpack` in the build folder makes three Debian packages: libventile0, libventile-dev and ventile.
find_program(dpkg_shlibdeps dpkg-shlibdeps)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME ventile)
set(CPACK_PACKAGE_VENDOR Ventile)
set(CPACK_PACKAGE_CONTACT "The Ventile authors <ventile@localhost>")
set(CPACK_PACKAGE_DIRECTORY "${PROJECT_BINARY_DIR}/packages")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL runtime development tools)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
if(dpkg_shlibdeps)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS "${PROJECT_BINARY_DIR}")
endif()

set(runtime "libventile${PROJECT_VERSION_MAJOR}")
set(version "${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME ${runtime})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "Message-passing compute fabric, shared libraries
What programs need that were linked with Ventile.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libventile-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SHLIBDEPS OFF)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "${runtime} (= ${version}), libzmq3-dev, libsodium-dev, pkg-config")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SUGGESTS libmsgpack-cxx-dev)  # For ventile/wire/msgpack_define.hpp.
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "Message-passing compute fabric, headers and static libraries
For find_package(Ventile) and pkg-config, and to write plugins.")

set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME ventile)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION net)
set(CPACK_COMPONENT_TOOLS_DESCRIPTION "Message-passing compute fabric, programs
A ventilator turns input into tasks, workers run them, a sink collects the
results. No task is lost, no result is counted twice.")

foreach(pair "runtime:${runtime}" development:libventile-dev tools:ventile)
  string(REPLACE ":" ";" pair "${pair}")
  list(GET pair 0 component)
  list(GET pair 1 package)
  install(FILES LICENSE RENAME copyright DESTINATION "${CMAKE_INSTALL_DATAROOTDIR}/doc/${package}" COMPONENT ${component})
endforeach()

include(CPack)
