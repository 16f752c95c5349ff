# Installs the library, its headers, the command, and what find_package(varve) and pkg-config need to know of them.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(package_directory ${CMAKE_INSTALL_LIBDIR}/cmake/varve)
set(targets varve)
if(TARGET varve_testing)
  list(APPEND targets varve_testing)
  set_target_properties(varve_testing PROPERTIES EXPORT_NAME testing)
endif()

install(TARGETS ${targets} EXPORT varveTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT varveTargets NAMESPACE varve:: DESTINATION ${package_directory})
if(TARGET varve_cli)
  install(TARGETS varve_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

get_target_property(type varve TYPE)
if(type STREQUAL SHARED_LIBRARY)
  set(VARVE_IS_SHARED ON)
else()
  set(VARVE_IS_SHARED OFF)
endif()
configure_package_config_file(lib/cmake/varveConfig.cmake.in ${PROJECT_BINARY_DIR}/package/varveConfig.cmake
                              INSTALL_DESTINATION ${package_directory} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/varveConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/package/varveConfig.cmake
              ${PROJECT_BINARY_DIR}/package/varveConfigVersion.cmake
              lib/cmake/VarveDependencies.cmake
        DESTINATION ${package_directory})

# A static libvarve.a needs its private libraries at every link, so pkg-config must name them without --static too.
if(VARVE_IS_SHARED)
  set(requires ${VARVE_PKGCONFIG_PUBLIC})
  set(requires_private ${VARVE_PKGCONFIG_PRIVATE})
else()
  set(requires ${VARVE_PKGCONFIG_PUBLIC} ${VARVE_PKGCONFIG_PRIVATE})
  set(requires_private "")
endif()
list(JOIN requires ", " VARVE_PC_REQUIRES)
list(JOIN requires_private ", " VARVE_PC_REQUIRES_PRIVATE)
set(VARVE_PC_THREADS "${CMAKE_THREAD_LIBS_INIT}")
# The prefix is found from the place of varve.pc itself, so that an installed tree can be moved.
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig
           OUTPUT_VARIABLE VARVE_PC_PREFIX)
configure_file(lib/cmake/varve.pc.in ${PROJECT_BINARY_DIR}/package/varve.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/package/varve.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
