# What is compiled into the modules, in CycloneDX where PEP 770 looks for it. A copy of libgomp that is
# put beside them later is listed by the tool that does so, with its licence by .ci/repair_wheel.py.
if(SKBUILD_METADATA_DIR)
  configure_file(cmake/sbom.cdx.json.in "${PROJECT_BINARY_DIR}/cvxnn.cdx.json" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/cvxnn.cdx.json" DESTINATION "${SKBUILD_METADATA_DIR}/sboms")
endif()
