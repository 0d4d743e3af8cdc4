# The addon: everything under engine, model, kernels and runtime, with one static library for each
# instruction set that a file's name asks for (test/native/Makefile has the same rules).
{
  "variables": {
    "list": "node sources.mjs",
    "warnings": ["-Wall", "-Wextra", "-Wconversion", "-Werror"],
    "flags": ["-std=c++20", "-O2", "-g0", "-ffp-contract=off", "-fvisibility=hidden", "-fPIC"],
  },
  "target_defaults": {
    "include_dirs": ["."],
    "cflags!": ["-O3", "-Wno-unused-parameter"],
    "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20"],
    "cflags_cc": ["<@(warnings)", "<@(flags)"],
    "xcode_settings": {
      "CLANG_CXX_LANGUAGE_STANDARD": "c++20",
      "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
      "MACOSX_DEPLOYMENT_TARGET": "13.0",
      "OTHER_CPLUSPLUSFLAGS": ["<@(warnings)", "-ffp-contract=off"],
    },
  },
  "targets": [
    {
      "target_name": "sluice_avx2",
      "type": "static_library",
      "sources": ["<!@(<(list) avx2)"],
      "conditions": [
        ["target_arch=='x64'", {"cflags_cc": ["-mavx2", "-mfma", "-mf16c", "-mbmi2"]}],
      ],
    },
    {
      "target_name": "sluice_avx512",
      "type": "static_library",
      "sources": ["<!@(<(list) avx512)"],
      "conditions": [
        ["target_arch=='x64'", {
          "cflags_cc": ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mfma",
                        "-mf16c"],
        }],
      ],
    },
    {
      "target_name": "sluice_engine",
      "sources": ["<!@(<(list) baseline)"],
      "dependencies": ["sluice_avx2", "sluice_avx512"],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      # No exception leaves the addon, also not into an environment that is being terminated.
      "defines": [
        "NAPI_VERSION=9",
        "NODE_ADDON_API_CPP_EXCEPTIONS_ALL",
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS",
      ],
      "libraries": ["-ldl", "-lpthread"],
    },
  ],
}
