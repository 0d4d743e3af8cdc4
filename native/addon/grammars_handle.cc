// One worker of Node's pool for each check.
#include "addon/grammars_handle.h"

#include <utility>

namespace sluice::addon {
namespace {

constexpr napi_type_tag kGrammarsTag = {0x7d20b6c14e8f4a59, 0xa1c3955e0f7b4d12};

class CheckWorker : public Napi::AsyncWorker {
 public:
  CheckWorker(Napi::Env env, std::shared_ptr<Grammars> grammars, GrammarSource source)
      : AsyncWorker(env),
        grammars_(std::move(grammars)),
        source_(std::move(source)),
        deferred_(Napi::Promise::Deferred::New(env)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

  void Execute() override {
    std::shared_ptr<const Grammar> grammar;
    status_ = source_.kind.empty() ? grammars_->prepare() : grammars_->compile(source_, &grammar);
  }

  void OnOK() override {
    const Napi::HandleScope scope(Env());
    if (status_.is_ok()) return deferred_.Resolve(Env().Null());
    if (status_.code() == StatusCode::kInvalid) {
      return deferred_.Resolve(Napi::String::New(Env(), status_.message()));
    }
    deferred_.Reject(from_status(Env(), status_).Value());
  }

 private:
  const std::shared_ptr<Grammars> grammars_;
  const GrammarSource source_;
  Napi::Promise::Deferred deferred_;
  Status status_;
};

}  // namespace

Napi::Value GrammarsHandle::wrap(Napi::Env env, std::shared_ptr<Grammars> grammars) {
  auto external = Napi::External<std::shared_ptr<Grammars>>::New(
      env,
      new std::shared_ptr<Grammars>(std::move(grammars)),
      [](Napi::Env, std::shared_ptr<Grammars>* held) { delete held; });
  external.TypeTag(&kGrammarsTag);
  return external;
}

std::shared_ptr<Grammars> GrammarsHandle::unwrap(const Field& handle) {
  if (handle.is_null()) return nullptr;
  const Napi::Value value = handle.value();
  const bool ours =
      value.IsExternal() && value.As<Napi::External<void>>().CheckTypeTag(&kGrammarsTag);
  if (!ours) handle.fail("what grammarsOpen gave, or null");
  return *value.As<Napi::External<std::shared_ptr<Grammars>>>().Data();
}

Napi::Value grammars_open(const Napi::CallbackInfo& info) {
  const Field tokens("grammarsOpen", "tokens", info[0]);
  GrammarTokens converted{
      tokens.at("bytes").bytes(), tokens.at("lengths").ids(), tokens.at("eosIds").ids()};
  return GrammarsHandle::wrap(info.Env(), Grammars::shared(std::move(converted)));
}

Napi::Value grammar_check(const Napi::CallbackInfo& info) {
  const Field handle("grammarCheck", "grammars", info[0]);
  const Field kind("grammarCheck", "kind", info[1]);
  const Field text("grammarCheck", "text", info[2]);
  std::shared_ptr<Grammars> grammars = GrammarsHandle::unwrap(handle);
  if (grammars == nullptr) throw Napi::TypeError::New(info.Env(), "grammarCheck: no grammars");
  // Freed by itself once it has resolved.
  auto* worker = new CheckWorker(info.Env(), std::move(grammars), {kind.string(), text.string()});
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

}  // namespace sluice::addon
