# What `cmake --install` lays down: the program and its manual page, the layers as static libraries,
# the public headers, and a CMake package, so that find_package(octavo) gives octavo::octavo.
include(CMakePackageConfigHelpers)
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/octavo)

# The layers of the commands and the server are the program's and not for other programs.
get_property(layers GLOBAL PROPERTY OCTAVO_LAYERS)
list(REMOVE_ITEM layers octavo_cli octavo_server)
foreach(layer ${layers})
  string(REPLACE octavo_ "" export_name ${layer})
  set_target_properties(${layer} PROPERTIES EXPORT_NAME ${export_name})
endforeach()

add_library(octavo_library INTERFACE)
target_link_libraries(octavo_library INTERFACE ${layers})
target_compile_features(octavo_library INTERFACE cxx_std_20)
set_target_properties(octavo_library PROPERTIES EXPORT_NAME octavo)

install(TARGETS ${layers} octavo_library EXPORT octavoTargets)
install(DIRECTORY include/octavo DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN *.h)
install(EXPORT octavoTargets NAMESPACE octavo:: DESTINATION ${package_folder})
configure_package_config_file(cmake/octavoConfig.cmake.in octavoConfig.cmake
  INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(octavoConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES
  ${PROJECT_BINARY_DIR}/octavoConfig.cmake ${PROJECT_BINARY_DIR}/octavoConfigVersion.cmake
  DESTINATION ${package_folder})

if(TARGET octavo)
  set_target_properties(octavo PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  install(TARGETS octavo)
  # The program prints its manual page from the list of options that it parses.
  if(NOT CMAKE_CROSSCOMPILING OR CMAKE_CROSSCOMPILING_EMULATOR)
    add_custom_command(OUTPUT octavo.1 DEPENDS octavo
      COMMAND ${CMAKE_CROSSCOMPILING_EMULATOR} $<TARGET_FILE:octavo> help --man > octavo.1
      COMMENT "Writing the manual page octavo(1)" VERBATIM)
    add_custom_target(octavo_manual ALL DEPENDS octavo.1)
    install(FILES ${PROJECT_BINARY_DIR}/octavo.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  endif()
endif()
