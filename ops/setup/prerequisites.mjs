// What must be on the machine before anything can be built, and the sentence for what is missing.
import { answers } from "./house.mjs"

const packages = {
  compiler: { debian: "g++", fedora: "gcc-c++" },
  make: { debian: "make", fedora: "make" },
  python: { debian: "python3", fedora: "python3" },
}

const hasCompiler = () => {
  const source = "#include <span>\nint main() { return std::span<int>().size() == 0 ? 0 : 1; }\n"
  const flags = ["-std=c++20", "-fsyntax-only", "-x", "c++", "-"]
  const candidates = [process.env.CXX, "c++", "g++", "clang++"].filter(Boolean)
  return candidates.some((compiler) => answers(compiler, flags, source) !== null)
}

const hasPython = () => {
  const check = "import sys; sys.exit(0 if sys.version_info >= (3, 8) else 1)"
  const candidates = [process.env.PYTHON, "python3", "python"].filter(Boolean)
  return candidates.some((python) => answers(python, ["-c", check]) !== null)
}

/** One sentence for all that is missing to build the engine; null when nothing is. */
export const missingForBuild = () => {
  const missing = []
  if (!hasCompiler()) missing.push(["a C++20 compiler (g++ 11 or clang 14, or newer)", "compiler"])
  if (answers("make", ["--version"]) === null) missing.push(["make", "make"])
  if (!hasPython()) missing.push(["Python 3.8 or newer (for node-gyp)", "python"])
  if (missing.length === 0) return null
  const names = (system) => missing.map(([, key]) => packages[key][system]).join(" ")
  return [
    `The native engine is built on this machine, and what it takes is not here: ${missing
      .map(([what]) => what)
      .join(", ")}.`,
    `  Debian, Ubuntu:  sudo apt-get install ${names("debian")}`,
    `  Fedora, RHEL:    sudo dnf install ${names("fedora")}`,
    "  macOS:           xcode-select --install",
    "Then run the same command again.",
  ].join("\n")
}

export const nodeTooOld = () =>
  Number(process.versions.node.split(".")[0]) >= 20
    ? null
    : `Node 20 or newer is needed to set Sluice up; this is ${process.version}.`
