find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(simdjson REQUIRED)
find_package(fmt REQUIRED)
find_package(ZLIB REQUIRED)
find_package(LibLZMA REQUIRED)
pkg_check_modules(utf8proc REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(pcre2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(zstd REQUIRED IMPORTED_TARGET libzstd)
# Header-only, used by train/ (recipes) and apps/ (flags): toml++ and CLI11.
find_path(ATTEND_TOMLPLUSPLUS_INCLUDE toml++/toml.h REQUIRED)

add_library(attend_dependencies INTERFACE)
target_link_libraries(attend_dependencies INTERFACE
  Threads::Threads nlohmann_json::nlohmann_json simdjson::simdjson fmt::fmt
  ZLIB::ZLIB LibLZMA::LibLZMA PkgConfig::utf8proc PkgConfig::pcre2 PkgConfig::zstd)
