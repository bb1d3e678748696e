# What `cmake --install` does, in three components: runtime (the shared libraries), development, and tools (the programs).

# On Debian, where Debian looks: lib/x86_64-linux-gnu, below /usr and /usr/local alike.
if(NOT DEFINED CMAKE_INSTALL_LIBDIR AND CMAKE_LIBRARY_ARCHITECTURE AND EXISTS /etc/debian_version)
  set(CMAKE_INSTALL_LIBDIR "lib/${CMAKE_LIBRARY_ARCHITECTURE}" CACHE PATH "Libraries, below the prefix")
endif()
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_folder "${CMAKE_INSTALL_LIBDIR}/cmake/Ventile")

foreach(kind shared static)
  install(TARGETS ventile_core_${kind} ventile_patterns_${kind} EXPORT Ventile-${kind}
    LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT runtime NAMELINK_COMPONENT development
    ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT development
    FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT development)
  install(EXPORT Ventile-${kind} NAMESPACE ventile:: FILE Ventile-${kind}.cmake
    DESTINATION "${package_folder}" COMPONENT development)
endforeach()

configure_package_config_file(cmake/VentileConfig.cmake.in "${PROJECT_BINARY_DIR}/VentileConfig.cmake"
  INSTALL_DESTINATION "${package_folder}" NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/VentileConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/VentileConfig.cmake" "${PROJECT_BINARY_DIR}/VentileConfigVersion.cmake"
  DESTINATION "${package_folder}" COMPONENT development)

# The file finds its prefix from where it lies, so that a package may be unpacked anywhere.
file(RELATIVE_PATH prefix_from_pkgconfig "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" /)
string(REGEX REPLACE "/$" "" prefix_from_pkgconfig "${prefix_from_pkgconfig}")
configure_file(cmake/ventile.pc.in "${PROJECT_BINARY_DIR}/ventile.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/ventile.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT development)

if(VENTILE_BUILD_NODES)
  get_property(programs GLOBAL PROPERTY VENTILE_PROGRAMS)
  install(TARGETS ${programs} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT tools)
  # Below lib, not below the libraries' folder: that is where systemd looks.
  install(FILES nodes/systemd/ventile-broker.service nodes/systemd/ventile-sink.service nodes/systemd/ventile-worker.service
    DESTINATION lib/systemd/system COMPONENT tools)
  install(FILES nodes/systemd/ventile.sysusers RENAME ventile.conf DESTINATION lib/sysusers.d COMPONENT tools)
  file(GLOB pages CONFIGURE_DEPENDS man/*.1)
  install(FILES ${pages} DESTINATION "${CMAKE_INSTALL_MANDIR}/man1" COMPONENT tools)
endif()
