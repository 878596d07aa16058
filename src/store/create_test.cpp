#include "store/create.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <fstream>

#include "base/small_file.h"
#include "base/testing/temporary_folder.h"
#include "catalog/catalog.h"
#include "catalog/ollama_parameters.h"
#include "catalog/testing/small_gguf.h"
#include "catalog/testing/small_store.h"
#include "gguf/testing/gguf_bytes.h"
#include "store/testing/small_models.h"

namespace sutazai::store {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using testing::named;
using testing::put;
using testing::sum;

/// A model of one tensor that says of what type it is.
std::string gguf_of_type(std::uint32_t file_type, const std::string& architecture = "llama") {
    gguf::Bytes bytes;
    bytes.head(3, 1, 2).text_pair("general.architecture", architecture).u32_pair("general.file_type", file_type);
    bytes.tensor("w", {4}, 0, 0).pad(32).raw(std::string(16, 'w'));
    return bytes.str();
}

class CreateTest : public ::testing::Test {
  protected:
    CreateTest() {
        fs::create_directories(folder_.path() / "models");
        sources_ = {.models_dir = (folder_.path() / "models").string(),
                    .ollama_stores = {(folder_.path() / "ollama").string()},
                    .model_store = store_.root().string()};
    }

    /// As the catalogue has it now.
    catalog::ModelFile find(const std::string& name) {
        const catalog::Catalog catalog(sources_);
        auto file = catalog.find(name);
        EXPECT_TRUE(file) << file.error().message;
        return file ? *file : catalog::ModelFile();
    }
    std::optional<BaseModel> base(const std::string& name) {
        auto found = base_model(find(name), sources_);
        EXPECT_TRUE(found) << found.error().message;
        return found ? std::optional(*found) : std::nullopt;
    }
    Result<void> create(const char* name, const ModelRecipe& recipe) {
        told_.clear();
        const auto from = recipe.from.empty() ? std::nullopt : base(recipe.from);
        return create_model(store_, named(name), recipe, from, quantiser_, work_);
    }
    Manifest manifest(const char* name) { return parse_manifest(store_.read_manifest(named(name)).value()).value(); }
    std::string text(const char* name, std::string_view kind) {
        const Manifest read = manifest(name);
        const Layer* layer = read.find(kind);
        return layer == nullptr ? "" : read_small_file(store_.blob_path(layer->digest).string(), 1 << 20).value();
    }

    TemporaryFolder folder_;
    ModelStore store_{folder_.path() / "store"};
    catalog::SmallStore ollama_{folder_.path() / "ollama"};
    catalog::ModelSources sources_;
    std::vector<WorkProgress> told_;
    std::stop_source stop_;
    WorkContext work_{stop_.get_token(), [this](WorkProgress progress) { told_.push_back(std::move(progress)); }};
    std::string quantised_to_;
    Quantiser quantiser_ = [this](const ModelStore& store, const fs::path& weights, const std::string& type,
                                  const WorkContext&) -> Result<StoredBlob> {
        EXPECT_TRUE(fs::exists(weights));
        quantised_to_ = type;
        return put(store, gguf_of_type(15));
    };
};

TEST_F(CreateTest, AdaptersBecomeLayersInPlaceOfThoseOfTheBase) {
    const auto adapter = [](const std::string& type) {
        gguf::Bytes bytes;
        bytes.head(3, 1, 3).text_pair("general.type", type).text_pair("adapter.type", "lora");
        bytes.text_pair("general.architecture", "llama");
        bytes.tensor("blk.0.attn_q.weight.lora_a", {4}, 0, 0).pad(32).raw(std::string(16, 'w'));
        return bytes.str();
    };
    const auto write = [&](const char* name, const std::string& content) {
        const std::string path = (folder_.path() / name).string();
        std::ofstream(path, std::ios::binary) << content;
        return path;
    };
    write("models/base.gguf", gguf_of_type(1));
    const std::string one = write("one.gguf", adapter("adapter"));
    const auto made = create("made", {.from = "base", .adapter_files = {one}});
    ASSERT_TRUE(made) << made.error().message;
    ASSERT_NE(manifest("made").find("adapter"), nullptr);
    EXPECT_EQ(find("made").profile->request.adapters.size(), 1U);
    EXPECT_EQ(find("made").weights.empty(), false);

    const std::string sent = adapter("adapter") + "more";
    const auto blob = put(store_, sent);
    ASSERT_TRUE(create("again", {.from = "made", .adapters = {{"x.gguf", to_text(sum(sent))}}}));
    EXPECT_EQ(manifest("again").find("adapter")->digest, sum(sent));
    EXPECT_EQ(manifest("again").layers.size(), manifest("made").layers.size());
    ASSERT_TRUE(create("kept", {.from = "made", .system = "S."}));
    EXPECT_EQ(manifest("kept").find("adapter")->digest, manifest("made").find("adapter")->digest);

    for (const ModelRecipe& wrong : {ModelRecipe{.from = "base", .adapter_files = {write("m.gguf", adapter("model"))}},
                                     ModelRecipe{.from = "base", .adapter_files = {folder_.path().string()}},
                                     ModelRecipe{.from = "base", .adapters = {{"x", "sha256:no"}}}}) {
        const auto refused = create("wrong", wrong);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().field, "adapters") << refused.error().message;
    }
}

TEST_F(CreateTest, FromSentFiles) {
    put(store_, catalog::small_gguf());
    ModelRecipe recipe;
    recipe.files = {{"m.gguf", to_text(sum(catalog::small_gguf()))}};
    recipe.system = "Be brief.";
    recipe.chat_template = "{{ .Prompt }}";
    recipe.licenses = {"MIT", "and more"};
    recipe.messages = {{"user", "Hi"}, {"assistant", "Ho"}};
    ASSERT_TRUE(catalog::add_ollama_parameter(recipe.parameters, "temperature", "0.5"));
    ASSERT_TRUE(catalog::add_ollama_parameter(recipe.parameters, "stop", "END"));
    const auto created = create("a/b:c", recipe);
    ASSERT_TRUE(created) << created.error().message;

    const catalog::ModelFile file = find("a/b:c");
    EXPECT_EQ(file.path, store_.blob_path(sum(catalog::small_gguf())).string());
    const catalog::ModelProfile& profile = catalog::profile_of(file);
    EXPECT_EQ(profile.request.system, "Be brief.");
    EXPECT_EQ(profile.request.temperature, 0.5F);
    EXPECT_EQ(profile.request.stop, std::vector<std::string>{"END"});
    EXPECT_EQ(profile.request.messages.size(), 2U);
    EXPECT_EQ(profile.load.chat_template, "{{ .Prompt }}");
    EXPECT_EQ(profile.facts.family, "llama");
    EXPECT_EQ(profile.facts.parameter_size, "4");
    EXPECT_EQ(manifest("a/b:c").layers.size(), 7U) << "two licences";
    EXPECT_EQ(told_.back().status, "writing manifest");
}

TEST_F(CreateTest, FromAModelOfTheStoreKeepsWhatIsNotSaid) {
    put(store_, catalog::small_gguf());
    ModelRecipe first;
    first.files = {{"m.gguf", to_text(sum(catalog::small_gguf()))}};
    first.system = "Old.";
    first.messages = {{"user", "Hi"}};
    ASSERT_TRUE(catalog::add_ollama_parameter(first.parameters, "top_k", "5"));
    ASSERT_TRUE(catalog::add_ollama_parameter(first.parameters, "temperature", "1"));
    ASSERT_TRUE(create("one", first));
    ModelRecipe second;
    second.from = "one";
    second.system = "New.";
    ASSERT_TRUE(catalog::add_ollama_parameter(second.parameters, "temperature", "0"));
    const auto created = create("two", second);
    ASSERT_TRUE(created) << created.error().message;
    EXPECT_EQ(text("two", "system"), "New.");
    EXPECT_EQ(json::parse(text("two", "params")), json::parse(R"({"top_k":5,"temperature":0})"));
    EXPECT_EQ(text("two", "messages"), text("one", "messages"));
    EXPECT_EQ(manifest("two").find("model")->digest, manifest("one").find("model")->digest);
    ASSERT_TRUE(create("one", second)) << "over what it is made of";
    EXPECT_EQ(text("one", "system"), "New.");
}

TEST_F(CreateTest, FromAnotherStoreAdoptsItsBlobs) {
    ollama_.put("registry.ollama.ai/library/theirs/latest",
                {{"model", catalog::small_gguf()}, {"system", "Theirs."}, {"license", "Apache"}},
                R"({"model_format":"gguf","renderer":"r","parser":"p"})");
    ModelRecipe recipe;
    recipe.from = "theirs";
    const auto created = create("mine", recipe);
    ASSERT_TRUE(created) << created.error().message;
    EXPECT_EQ(text("mine", "system"), "Theirs.");
    EXPECT_EQ(text("mine", "license"), "Apache");
    std::error_code error;
    EXPECT_TRUE(
        fs::equivalent(store_.blob_path(sum(catalog::small_gguf())), ollama_.blob(catalog::small_gguf()), error))
        << "one file with two names";
    const auto config =
        json::parse(read_small_file(store_.blob_path(manifest("mine").config->digest).string(), 1 << 20).value());
    EXPECT_EQ(config.at("renderer").as_string(), "r") << "what is not known here is kept";
    EXPECT_EQ(config.at("model_family").as_string(), "llama");
    EXPECT_EQ(config.at("rootfs").at("diff_ids").as_array().size(), 3U);

    const auto copied = copy_model(store_, *base("theirs"), named("copy"), work_);
    ASSERT_TRUE(copied) << copied.error().message;
    EXPECT_EQ(store_.read_manifest(named("copy")).value(),
              ModelStore(folder_.path() / "ollama").read_manifest(named("theirs")).value());
}

TEST_F(CreateTest, FromAFileOfAFolderCopiesIt) {
    std::ofstream(folder_.path() / "models" / "mine.gguf", std::ios::binary) << catalog::small_gguf();
    ModelRecipe recipe;
    recipe.from = "mine";
    ASSERT_TRUE(create("made", recipe));
    std::ofstream(folder_.path() / "models" / "mine.gguf", std::ios::binary) << "written over";
    EXPECT_TRUE(find("made").problem.empty());
    const auto refused = base_model({.name = "x", .path = "/m/x-00001-of-00003.gguf"}, sources_);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(CreateTest, FilesMustBeThereAndBeModels) {
    const auto refused = [&](std::vector<std::pair<std::string, std::string>> files) {
        ModelRecipe recipe;
        recipe.files = std::move(files);
        const auto made = create("x", recipe);
        EXPECT_FALSE(made);
        EXPECT_FALSE(store_.read_manifest(named("x"))) << "nothing is there when something is wrong";
        return made ? Error() : made.error();
    };
    put(store_, "no model");
    put(store_, catalog::small_gguf());
    put(store_, gguf_of_type(0));
    put(store_, gguf_of_type(0, "clip"));
    EXPECT_EQ(refused({{"a", "nonsense"}}).field, "files");
    EXPECT_NE(refused({{"a", to_text(sum("absent"))}}).message.find("/api/blobs/"), std::string::npos);
    EXPECT_NE(refused({{"a", to_text(sum("no model"))}}).message.find("cannot be used"), std::string::npos);
    EXPECT_NE(refused({{"a", to_text(sum(catalog::small_gguf()))}, {"b", to_text(sum(gguf_of_type(0)))}})
                  .message.find("second"),
              std::string::npos);
    EXPECT_EQ(refused({{"a", to_text(sum(gguf_of_type(0, "clip")))}}).field, "files") << "a projector alone";
    ModelRecipe both;
    both.files = {{"a", to_text(sum(gguf_of_type(0, "clip")))}, {"b", to_text(sum(gguf_of_type(0)))}};
    ASSERT_TRUE(create("seeing", both));
    EXPECT_NE(manifest("seeing").find("projector"), nullptr);
}

TEST_F(CreateTest, QuantisesOnlyWhatHasLostNothing) {
    std::ofstream(folder_.path() / "models" / "full.gguf", std::ios::binary) << gguf_of_type(1);
    std::ofstream(folder_.path() / "models" / "small.gguf", std::ios::binary) << gguf_of_type(7);
    ModelRecipe recipe;
    recipe.from = "full";
    recipe.quantize = "Q4_K_M";
    ASSERT_TRUE(create("q", recipe));
    EXPECT_EQ(quantised_to_, "Q4_K_M");
    EXPECT_EQ(catalog::profile_of(find("q")).facts.quantization, "Q4_K_M");
    EXPECT_FALSE(store_.has_blob(sum(gguf_of_type(1)))) << "what it was made of is not needed";

    quantised_to_.clear();
    recipe.quantize = "F16";
    ASSERT_TRUE(create("same", recipe));
    EXPECT_EQ(quantised_to_, "") << "it is F16 already";

    recipe.from = "small";
    recipe.quantize = "Q4_K_M";
    const auto refused = create("worse", recipe);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().field, "quantize");
    EXPECT_NE(refused.error().message.find("Q8_0"), std::string::npos);

    // Of a model that a store describes all else stays.
    recipe.from = "same";
    ModelRecipe described = recipe;
    described.quantize.clear();
    described.system = "S.";
    ASSERT_TRUE(create("described", described));
    recipe.from = "described";
    ASSERT_TRUE(create("q2", recipe));
    EXPECT_EQ(text("q2", "system"), "S.");
    EXPECT_EQ(manifest("q2").find("model")->digest, sum(gguf_of_type(15)));
}

TEST_F(CreateTest, IsCancelled) {
    std::ofstream(folder_.path() / "models" / "mine.gguf", std::ios::binary) << catalog::small_gguf();
    stop_.request_stop();
    ModelRecipe recipe;
    recipe.from = "mine";
    const auto made = create("x", recipe);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, ErrorCode::kCancelled);
    EXPECT_FALSE(store_.read_manifest(named("x")));
    EXPECT_EQ(std::distance(fs::directory_iterator(store_.blobs()), fs::directory_iterator()), 0);
}

TEST_F(CreateTest, RemovesOnlyItsOwn) {
    std::ofstream(folder_.path() / "models" / "mine.gguf", std::ios::binary) << catalog::small_gguf();
    ollama_.put("registry.ollama.ai/library/theirs/latest", {{"model", catalog::small_gguf()}});
    for (const char* name : {"mine", "theirs"}) {
        const auto refused = remove_model(store_, name, find(name));
        ASSERT_FALSE(refused) << name;
        EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
        EXPECT_NE(refused.error().message.find(find(name).path), std::string::npos) << "it says where it lies";
    }
    const catalog::ModelFile alias{.name = "fast", .path = store_.blob_path(sum("x")).string()};
    EXPECT_NE(remove_model(store_, "fast", alias).error().message.find("models.toml"), std::string::npos);
    const catalog::ModelFile gone{.name = "gone", .path = store_.blob_path(sum("x")).string(), .in_store = true};
    EXPECT_EQ(remove_model(store_, "gone", gone).error().code, ErrorCode::kNotFound) << "somebody else was first";
    EXPECT_EQ(remove_model(store_, "nobody", std::nullopt).error().code, ErrorCode::kNotFound);
    EXPECT_EQ(remove_model(store_, "../../etc", std::nullopt).error().code, ErrorCode::kNotFound);
    ASSERT_TRUE(copy_model(store_, *base("theirs"), named("theirs"), work_));
    ASSERT_TRUE(remove_model(store_, "theirs", find("theirs")));
    EXPECT_TRUE(fs::exists(ollama_.blob(catalog::small_gguf())));
    EXPECT_FALSE(store_.has_blob(sum(catalog::small_gguf())));
}

TEST_F(CreateTest, ANameThatAnotherPlaceHasIsNotTakenNorRemoved) {
    std::ofstream(folder_.path() / "models" / "mine.gguf", std::ios::binary) << catalog::small_gguf();
    ollama_.put("registry.ollama.ai/library/theirs/latest", {{"model", catalog::small_gguf()}});
    const auto now = [&] { return catalog::Catalog(sources_); };
    const auto taken = check_name_is_free(now(), named("mine"), "destination");
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(taken.error().field, "destination");
    EXPECT_NE(taken.error().message.find("mine.gguf"), std::string::npos) << taken.error().message;
    EXPECT_TRUE(check_name_is_free(now(), named("mine:2"), "model"));
    EXPECT_TRUE(check_name_is_free(now(), named("theirs"), "model")) << "the store comes before Ollama's own";
    EXPECT_TRUE(check_name_is_free(now(), named("nobody"), "model"));

    // One that was there before the file came.
    ASSERT_TRUE(copy_model(store_, *base("theirs"), named("mine"), work_));
    EXPECT_FALSE(check_name_is_free(now(), named("mine"), "model"));
    const auto refused = remove_model(store_, "mine", find("mine"));
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("'library/mine:latest'"), std::string::npos) << refused.error().message;
    EXPECT_TRUE(store_.read_manifest(named("mine")));
    EXPECT_TRUE(remove_model(store_, "library/mine:latest", find("library/mine:latest")));
    EXPECT_FALSE(store_.read_manifest(named("mine")));

    const catalog::ModelFile far{.name = "far", .remote = catalog::RemoteModel{.upstream = "gpu", .model = "x"}};
    EXPECT_NE(remove_model(store_, "far", far).error().message.find("the upstream 'gpu'"), std::string::npos);
}

TEST(NewModelName, IsOneThatBothHaveAPlaceFor) {
    EXPECT_EQ(new_model_name("a", "model")->shortest(), "a:latest");
    for (const char* name : {"", "a:", "a/b/c/d/e", "../x", "a b"}) {
        const auto refused = new_model_name(name, "destination");
        ASSERT_FALSE(refused) << name;
        EXPECT_EQ(refused.error().field, "destination") << name;
    }
}

}  // namespace
}  // namespace sutazai::store
