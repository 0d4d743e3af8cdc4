// JSON, safetensors headers and shard indexes: what is read, and that hostile files are refused
// with a message. The manifest of ../shared/hostile/safetensors says what the reference reader
// does.
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "check.h"
#include "model/checkpoint.h"
#include "model/json.h"
#include "model/safetensors.h"
#include "temporary_folder.h"

namespace sluice {
namespace {

using check::TemporaryFolder;

std::string shared_folder() {
  const char* given = std::getenv("SLUICE_SHARED");
  return given != nullptr ? given : "../shared";
}

bool parses(std::string_view text) {
  JsonValue value;
  return parse_json(text, &value).is_ok();
}

TEST("JSON is read as RFC 8259 has it") {
  JsonValue value;
  REQUIRE(
      parse_json(" {\"a\": [1, -2.5e1, true, null], \"\\u00e9\\ud83d\\ude00\": \"x\\n\"} ", &value)
          .is_ok());
  const JsonValue* items = value.find("a");
  REQUIRE(items != nullptr && items->items().size() == 4);
  CHECK(items->items()[0].whole() == uint64_t{1});
  CHECK_EQ(items->items()[1].number(), -25.0);
  CHECK(!items->items()[1].whole());
  CHECK(items->items()[2].boolean());
  CHECK(items->items()[3].is_null());
  REQUIRE(value.find("\xC3\xA9\xF0\x9F\x98\x80") != nullptr);
  CHECK_EQ(value.find("\xC3\xA9\xF0\x9F\x98\x80")->text(), "x\n");
  CHECK(value.find("b") == nullptr);
  REQUIRE(parse_json("18446744073709551615", &value).is_ok());
  CHECK(value.whole() == ~uint64_t{0});
  REQUIRE(parse_json("18446744073709551616", &value).is_ok());
  CHECK(!value.whole());
}

TEST("what is no JSON is refused") {
  for (const char* text : {"",
                           " ",
                           "{",
                           "[1,]",
                           "{\"a\":}",
                           "{\"a\" 1}",
                           "{a:1}",
                           "[1 2]",
                           "01",
                           "1.",
                           ".5",
                           "+1",
                           "-",
                           "1e",
                           "NaN",
                           "Infinity",
                           "tru",
                           "nulll",
                           "\"\\x\"",
                           "\"\\u12g4\"",
                           "\"\\ud800\"",
                           "\"\\udc00\"",
                           "\"a",
                           "\"\n\"",
                           "1 2",
                           "{\"a\":1}}",
                           "1e999",
                           "[\"\xFF\"]",
                           "\"\xC0\x80\"",
                           "\"\xED\xA0\x80\"",
                           "\"\xF4\x90\x80\x80\"",
                           "\"\xE2\x82\"",
                           "// 1\n1"}) {
    CHECK(!parses(text));
  }
  CHECK(!parses("{\"a\":1,\"b\":2,\"a\":3}"));
  CHECK(!parses("{\"a\":1,\"\\u0061\":3}"));
}

TEST("JSON's depth and number of values are bounded") {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  CHECK(parses(nested(kJsonDepthMax)));
  CHECK(!parses(nested(kJsonDepthMax + 2)));
  CHECK(!parses(nested(1000000)));
  std::string many = "[0";
  for (uint32_t i = 0; i < kJsonValuesMax; ++i) many += ",0";
  CHECK(!parses(many + "]"));
}

std::string length_bytes(uint64_t length) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(length >> (8 * i)));
  return bytes;
}

Status read_header(const std::string& path, std::vector<TensorInfo>* tensors) {
  InputFile file;
  SLUICE_RETURN_IF_ERROR(InputFile::open(path, &file));
  return read_safetensors_header(file, tensors);
}

Status header_of(const std::string& bytes, std::vector<TensorInfo>* tensors) {
  const TemporaryFolder folder;
  folder.write("x.safetensors", bytes);
  return read_header(folder.path("x.safetensors"), tensors);
}

bool accepts(const std::string& header, size_t data_bytes) {
  std::vector<TensorInfo> tensors;
  return header_of(length_bytes(header.size()) + header + std::string(data_bytes, '\0'), &tensors)
      .is_ok();
}

TEST("a safetensors header gives each tensor's place in the file") {
  const std::string header =
      "{\"__metadata__\":{\"format\":\"pt\"},"
      "\"b\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[12,16]},"
      "\"a\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[0,12]}}";
  std::vector<TensorInfo> tensors;
  REQUIRE(header_of(length_bytes(header.size()) + header + std::string(16, 'x'), &tensors).is_ok());
  REQUIRE(tensors.size() == 2);
  CHECK_EQ(tensors[0].name, "a");
  CHECK_EQ(tensors[0].begin, 8 + header.size());
  CHECK_EQ(describe_tensor(tensors[0]), "BF16 [2, 3]");
  CHECK_EQ(tensors[1].begin, 8 + header.size() + 12);
  CHECK_EQ(tensors[1].bytes, 4u);
}

std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return "{\"a\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets +
         "}}";
}

TEST("every rule of a safetensors header is enforced") {
  CHECK(accepts(one("F32", "[2]", "[0,8]"), 8));
  CHECK(accepts(one("F32", "[0,5]", "[0,0]"), 0));
  CHECK(accepts("{}", 0));
  CHECK(!accepts("{}", 1));
  CHECK(!accepts("[]", 0));
  CHECK(!accepts(one("F32", "[2]", "[0,8]"), 9));
  CHECK(!accepts(one("F32", "[2]", "[0,8]"), 7));
  CHECK(!accepts(one("F32", "[3]", "[0,8]"), 8));
  CHECK(!accepts(one("F31", "[2]", "[0,8]"), 8));
  CHECK(!accepts(one("F32", "[2]", "[8,0]"), 8));
  CHECK(!accepts(one("F32", "[2]", "[1,9]"), 9));
  CHECK(!accepts(one("F32", "[2]", "[0,8,8]"), 8));
  CHECK(!accepts(one("F32", "[2]", "[-8,0]"), 8));
  CHECK(!accepts(one("F32", "[2.0]", "[0,8]"), 8));
  CHECK(!accepts(one("F32", "[-2]", "[0,8]"), 8));
  CHECK(!accepts(one("F32", "[4611686018427387904,4]", "[0,0]"), 0));
  CHECK(!accepts(one("F32", "[18446744073709551615]", "[0,8]"), 8));
  CHECK(!accepts(one("F32", "[1e0]", "[0,4]"), 4));
  CHECK(!accepts("{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8));
  CHECK(!accepts("{\"a\":1}", 0));
  CHECK(!accepts("{\"__metadata__\":{\"a\":1}}", 0));
  CHECK(!accepts("{\"__metadata__\":[]}", 0));
  const std::string entry = "{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":";
  CHECK(accepts("{\"a\":" + entry + "[0,2]},\"b\":" + entry + "[2,4]}}", 4));
  CHECK(!accepts("{\"a\":" + entry + "[0,2]},\"b\":" + entry + "[1,3]}}", 3));
  CHECK(!accepts("{\"a\":" + entry + "[0,2]},\"b\":" + entry + "[3,5]}}", 5));
  CHECK(!accepts("{\"a\":" + entry + "[0,2]},\"b\":" + entry + "[0,2]}}", 2));
}

TEST("a header length that lies is refused before anything is read") {
  std::vector<TensorInfo> tensors;
  for (const uint64_t length : {uint64_t{0},
                                uint64_t{3},
                                kHeaderBytesMax + 1,
                                ~uint64_t{0},
                                ~uint64_t{0} - 7,
                                uint64_t{1} << 63}) {
    CHECK(!header_of(length_bytes(length) + "{}", &tensors).is_ok());
  }
  CHECK(!header_of("", &tensors).is_ok());
  CHECK(!header_of("1234567", &tensors).is_ok());
}

TEST("the hostile safetensors files are taken and refused as their manifest says") {
  const std::string folder = shared_folder() + "/hostile/safetensors";
  std::string text;
  if (!read_text(folder + "/manifest.json", 1 << 20, &text).is_ok()) {
    SKIP("there is no " + folder + "; SLUICE_SHARED may name the folder that holds it");
  }
  JsonValue manifest;
  REQUIRE(parse_json(text, &manifest).is_ok());
  CHECK(manifest.items().size() >= 20);
  for (const JsonValue& item : manifest.items()) {
    std::vector<TensorInfo> tensors;
    const std::string path = folder + "/" + item.find("file")->text();
    const Status status = read_header(path, &tensors);
    CHECK_EQ(status.is_ok(), item.find("expect")->text() == "accept");
    if (!status.is_ok()) CHECK(status.message().find(path) != std::string::npos);
  }
}

const char kTensor[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}";

std::string shard(const std::string& name) {
  std::string header = kTensor;
  header.replace(header.find("a"), 1, name);
  return length_bytes(header.size()) + header + "xy";
}

std::string index_of(const std::string& entries) {
  return "{\"weight_map\":{" + entries + "}}";
}

TEST("shards are read as their index says") {
  const TemporaryFolder folder;
  folder.write("1.safetensors", shard("a"));
  folder.write("2.safetensors", shard("b"));
  const auto opens = [&](const std::string& entries) {
    folder.write("model.safetensors.index.json", index_of(entries));
    Checkpoint checkpoint;
    return Checkpoint::open(folder.path(), &checkpoint);
  };
  CHECK(opens("\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"").is_ok());
  CHECK(!opens("\"a\":\"2.safetensors\",\"b\":\"1.safetensors\"").is_ok());
  CHECK(!opens("\"a\":\"1.safetensors\",\"c\":\"2.safetensors\"").is_ok());
  CHECK(!opens("\"a\":\"1.safetensors\",\"b\":\"3.safetensors\"").is_ok());
  CHECK(!opens("\"a\":\"1.safetensors\",\"b\":\"/2.safetensors\"").is_ok());
  CHECK(!opens("\"a\":\"1.safetensors\",\"b\":\"../2.safetensors\"").is_ok());
  CHECK(!opens("\"a\":\"1.safetensors\",\"b\":\"..\"").is_ok());
  CHECK(!opens("\"a\":\"1.safetensors\",\"b\":\"x\\u0000y\"").is_ok());
  CHECK(!opens("\"a\":\"1.safetensors\",\"b\":7").is_ok());
  CHECK(!opens("").is_ok());
  folder.write("2.safetensors", shard("a"));
  CHECK(!opens("\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"").is_ok());
}

TEST("a link out of the folder is refused, one into the cache's blobs is followed") {
  const TemporaryFolder outside;
  const TemporaryFolder cache;
  namespace fs = std::filesystem;
  fs::create_directories(cache.path("snapshots/commit"));
  fs::create_directories(cache.path("blobs"));
  outside.write("secret", shard("a"));
  cache.write("blobs/hash", shard("a"));
  Checkpoint checkpoint;
  const std::string link = cache.path("snapshots/commit/model.safetensors");
  fs::create_symlink(outside.path("secret"), link);
  CHECK(!Checkpoint::open(cache.path("snapshots/commit"), &checkpoint).is_ok());
  fs::remove(link);
  fs::create_symlink("../../blobs/hash", link);
  CHECK(Checkpoint::open(cache.path("snapshots/commit"), &checkpoint).is_ok());
}

TEST("a file that shrinks after it was opened is a failed read") {
  const TemporaryFolder folder;
  folder.write("model.safetensors", shard("a"));
  Checkpoint checkpoint;
  REQUIRE(Checkpoint::open(folder.path(), &checkpoint).is_ok());
  folder.write("model.safetensors", "short");
  uint8_t bytes[2];
  const Status status = checkpoint.read(*checkpoint.find("a"), 0, bytes);
  CHECK_EQ(status.code(), StatusCode::kDamaged);
}

TEST("folders without weights, and things that are no files, are refused by name") {
  const TemporaryFolder folder;
  Checkpoint checkpoint;
  CHECK_EQ(Checkpoint::open(folder.path(), &checkpoint).code(), StatusCode::kUnsupported);
  CHECK_EQ(Checkpoint::open(folder.path("none"), &checkpoint).code(), StatusCode::kIo);
  std::filesystem::create_directory(folder.path("model.safetensors"));
  CHECK_EQ(Checkpoint::open(folder.path(), &checkpoint).code(), StatusCode::kInvalid);
}

}  // namespace
}  // namespace sluice
