# cmake --install: the library with its headers, for find_package(attend) and the target attend::attend; the command; and
# the shipped models in share/attend.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(ATTEND_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/attend)

install(TARGETS attend attend_dependencies EXPORT attendTargets)
install(EXPORT attendTargets NAMESPACE attend:: DESTINATION ${ATTEND_PACKAGE_DIR})
install(DIRECTORY src/attend DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.hpp" PATTERN "cpu" EXCLUDE)
install(DIRECTORY pretrained DESTINATION ${CMAKE_INSTALL_DATADIR}/attend OPTIONAL)

configure_package_config_file(cmake/attendConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/attendConfig.cmake
  INSTALL_DESTINATION ${ATTEND_PACKAGE_DIR})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/attendConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES cmake/AttendDependencies.cmake ${CMAKE_CURRENT_BINARY_DIR}/attendConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/attendConfigVersion.cmake DESTINATION ${ATTEND_PACKAGE_DIR})
