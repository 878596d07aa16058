#include "catalog/scanner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/testing/temporary_folder.h"
#include "catalog/catalog.h"
#include "catalog/testing/small_store.h"

namespace sutazai::catalog {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using Names = std::vector<std::string>;

class ScannerTest : public testing::Test {
  protected:
    std::string put(const fs::path& file, const std::string& content = "x") {
        fs::create_directories((folder_ / file).parent_path());
        std::ofstream(folder_ / file) << content;
        return (folder_ / file).string();
    }
    void configure(const std::string& text) {
        // Another size or time each time, as an editor would leave it.
        put("models.toml", text + "\n# " + std::string(++n_written_, 'x') + "\n");
    }
    Catalog catalog() {
        ModelSources sources;
        sources.models_dir = (folder_ / "models").string();
        sources.ollama_stores = {(folder_ / "ollama").string()};
        sources.hf_cache = (folder_ / "hub").string();
        sources.models_toml = (folder_ / "models.toml").string();
        return Catalog(std::move(sources));
    }
    static std::string name_of(const Catalog& catalog, std::string_view asked) {
        const auto found = catalog.find(asked);
        return found ? found->name : found.error().message;
    }
    static Names names(const Catalog& catalog) {
        Names out;
        for (const ModelFile& model : catalog.list()) out.push_back(model.name);
        return out;
    }

    TemporaryFolder temporary_;
    fs::path folder_ = temporary_.path();
    SmallStore store_{folder_ / "ollama"};
    std::size_t n_written_ = 0;
};

TEST_F(ScannerTest, NamesAreFoundUnderEverySpelling) {
    store_.put("registry.ollama.ai/library/Qwen2.5/3b", {{"model", "q"}});
    store_.put("registry.ollama.ai/library/llama3/latest", {{"model", "l"}});
    store_.put("hf.co/org/repo/Q8_0", {{"model", "h"}});
    put("models/plain.gguf");
    put("models/Loud.gguf");
    put("hub/models--o--r/snapshots/1/m-Q4_K_M.gguf");
    put("hub/models--o--r/snapshots/1/m-Q8_0.gguf");
    const Catalog all = catalog();
    EXPECT_EQ(names(all), (Names{"Loud", "Qwen2.5:3b", "hf.co/o/r:Q4_K_M", "hf.co/o/r:Q8_0", "hf.co/org/repo:Q8_0",
                                 "llama3:latest", "plain"}));
    for (const char* same :
         {"Qwen2.5:3b", "qwen2.5:3B", "library/qwen2.5:3b", "registry.ollama.ai/library/qwen2.5:3b"}) {
        EXPECT_EQ(name_of(all, same), "Qwen2.5:3b") << same;
    }
    for (const char* same : {"llama3", "llama3:latest", "LLAMA3", "library/llama3"}) {
        EXPECT_EQ(name_of(all, same), "llama3:latest") << same;
    }
    EXPECT_EQ(name_of(all, "HF.co/org/Repo:q8_0"), "hf.co/org/repo:Q8_0");
    EXPECT_EQ(name_of(all, "hf.co/o/r"), "hf.co/o/r:Q4_K_M");
    EXPECT_EQ(name_of(all, "plain:latest"), "plain");
    EXPECT_FALSE(all.find("PLAIN")) << "a file's name is as it is";
    EXPECT_FALSE(all.find("qwen2.5")) << "there is no :latest";
}

TEST_F(ScannerTest, AnAliasIsItsModelWithSettingsOfItsOwn) {
    store_.put("registry.ollama.ai/library/m/latest",
               {{"model", "w"}, {"params", R"({"temperature":0.5,"top_k":3})"}, {"system", "Ollama's."}});
    configure(R"(
[models.m]
system = "Ours."
[models.same]
from = "m"
temperature = 1
[models.large]
from = "same"
context = 1000
[models.file]
from = "models/x.gguf"
)");
    put("models/x.gguf");
    const Catalog all = catalog();
    const auto m = all.find("m");
    const auto same = all.find("same");
    const auto large = all.find("large");
    ASSERT_TRUE(m && same && large);
    EXPECT_EQ(profile_of(*m).request.system, "Ours.") << "models.toml goes before the store";
    EXPECT_EQ(profile_of(*m).request.temperature, 0.5F);
    EXPECT_EQ(profile_of(*same).request.system, "Ours.");
    EXPECT_EQ(profile_of(*same).request.temperature, 1.0F);
    EXPECT_EQ(profile_of(*large).request.temperature, 1.0F) << "an alias of an alias";
    EXPECT_EQ(profile_of(*large).request.top_k, 3);
    EXPECT_EQ(same->engine, m->engine) << "what only requests see";
    EXPECT_NE(large->engine, m->engine) << "loaded in another way";
    EXPECT_EQ(all.find("file")->engine, all.find("x")->engine) << "one file";
    EXPECT_EQ(all.find_engine(m->engine)->engine, m->engine);
    EXPECT_EQ(all.find_engine("nobody's"), nullptr);
}

TEST_F(ScannerTest, AnAliasThatLeadsNowhereSaysSo) {
    configure(
        "[models.a]\nfrom = \"b\"\n[models.b]\nfrom = \"a\"\n[models.c]\nfrom = \"nobody\"\n"
        "[models.d]\nfrom = \"/nowhere/x.gguf\"\n[models.e]\nfrom = \"e\"\n[models.nobody2]\ntop_k = 1\n"
        "[models.t]\nfrom = \"x\"\ntemplate = \"./t.jinja\"\n");
    put("models/x.gguf");
    const Catalog all = catalog();
    EXPECT_NE(name_of(all, "a").find("leads back to itself"), std::string::npos) << name_of(all, "a");
    EXPECT_NE(name_of(all, "c").find("models.toml:5: there is no model \"nobody\""), std::string::npos);
    EXPECT_NE(name_of(all, "d").find("there is no file /nowhere/x.gguf"), std::string::npos);
    EXPECT_NE(name_of(all, "e").find("there is no model \"e\""), std::string::npos) << name_of(all, "e");
    EXPECT_NE(name_of(all, "t").find("its template " + (folder_ / "t.jinja").string() + " is missing"),
              std::string::npos);
    ASSERT_EQ(all.notes().size(), 1U);
    EXPECT_EQ(all.notes()[0], "models.toml:11: there is no model \"nobody2\" that its settings could be for");
    put("t.jinja", "{{ messages }}");
    const Catalog again = catalog();
    EXPECT_EQ(profile_of(*again.find("t")).load.chat_template, "{{ messages }}");
}

TEST_F(ScannerTest, TheLastGoodConfigurationGoesOn) {
    put("models/x.gguf");
    configure("[models.a]\nfrom = \"x\"");
    Catalog all = catalog();
    EXPECT_EQ(name_of(all, "a"), "a");
    configure("[models.a]\nfrom = 3");
    all.refresh();
    EXPECT_EQ(all.config_problem(),
              "models.toml:2: models.\"a\".from = 3 is not allowed; it must be a text of at most 4096 bytes");
    EXPECT_EQ(name_of(all, "a"), "a");
    all.refresh();
    EXPECT_FALSE(all.config_problem().empty()) << "and is still wrong";
    configure("[models.b]\nfrom = \"x\"");
    all.refresh();
    EXPECT_EQ(all.config_problem(), "");
    EXPECT_EQ(names(all), (Names{"b", "x"}));
    fs::remove(folder_ / "models.toml");
    all.refresh();
    EXPECT_EQ(names(all), (Names{"x"}));
}

TEST_F(ScannerTest, WhatComesFirstHasTheName) {
    put("models/both.gguf", "folder");
    put("models/hidden.gguf");
    store_.put("registry.ollama.ai/library/both/latest", {{"model", "store"}});
    configure("[models.hidden]\nfrom = \"both:latest\"");
    const Catalog all = catalog();
    EXPECT_EQ(all.find("both")->bytes, 6U);
    EXPECT_EQ(all.find("both:latest")->bytes, 5U) << "by its whole name";
    EXPECT_EQ(all.find("hidden")->bytes, 5U);
    EXPECT_EQ(all.notes(), (Names{"the file of \"hidden\" is hidden by models.toml"}));
    EXPECT_EQ(all.default_model(), "both") << "what is hidden is none of the folder's";
}

TEST_F(ScannerTest, NothingNewIsTheSameListing) {
    store_.put("registry.ollama.ai/library/m/latest", {{"model", "w"}});
    Scanner scanner({.ollama_stores = {(folder_ / "ollama").string()}});
    const auto near = scanner.scan(Scanner::Extent::kNear);
    EXPECT_TRUE(near->models.empty());
    const auto first = scanner.scan(Scanner::Extent::kAll);
    EXPECT_EQ(first->models.size(), 1U);
    EXPECT_EQ(scanner.scan(Scanner::Extent::kAll), first);
    store_.put("registry.ollama.ai/library/m/latest", {{"model", "w"}, {"system", "New."}});
    const auto changed = scanner.scan(Scanner::Extent::kAll);
    EXPECT_NE(changed, first);
    EXPECT_EQ(profile_of(changed->models[0]).request.system, "New.");
}

TEST_F(ScannerTest, TheStoreThatIsWrittenToComesFirstAndItsComingIsNews) {
    store_.put("registry.ollama.ai/library/m/latest", {{"model", "theirs"}});
    FolderWatch watch;
    const std::string own = (folder_ / "home" / "store").string();
    Scanner scanner({.ollama_stores = {(folder_ / "ollama").string(), own}, .model_store = own});
    const auto before = scanner.scan(Scanner::Extent::kAll, &watch);
    ASSERT_EQ(before->models.size(), 1U);
    EXPECT_EQ(before->models[0].bytes, 6U);
    EXPECT_TRUE(watch.hears_all());
    EXPECT_FALSE(watch.has_news());
    SmallStore(fs::path(own)).put("registry.ollama.ai/library/m/latest", {{"model", "ours"}});
    EXPECT_TRUE(watch.has_news());
    const auto after = scanner.scan(Scanner::Extent::kAll, &watch);
    ASSERT_EQ(after->models.size(), 1U) << "it is one store, however often it is named";
    EXPECT_EQ(after->models[0].bytes, 4U);
}

TEST_F(ScannerTest, ChangesInAStoreAreNews) {
    store_.put("registry.ollama.ai/library/m/latest", {{"model", "w"}});
    FolderWatch watch;
    Scanner scanner(
        {.ollama_stores = {(folder_ / "ollama").string()}, .models_toml = (folder_ / "models.toml").string()});
    const auto changes = [&] {
        const bool any = watch.has_news();
        watch.clear();
        (void)scanner.scan(Scanner::Extent::kAll, &watch);
        return any;
    };
    EXPECT_FALSE(changes());
    EXPECT_TRUE(watch.hears_all());
    store_.put("registry.ollama.ai/library/m/other", {{"model", "w"}});
    EXPECT_TRUE(changes()) << "a tag";
    store_.put("new.host/n/m/t", {{"model", "w"}});
    EXPECT_TRUE(changes()) << "a host";
    fs::remove_all(folder_ / "ollama/manifests/new.host");
    EXPECT_TRUE(changes()) << "it goes";
    EXPECT_FALSE(changes());
    configure("");
    EXPECT_TRUE(changes()) << "a configuration";
    put("log.txt");
    EXPECT_FALSE(changes());
}

// The bars: a name in under 1 ms, 200 ms more of a start. The figures are printed; what is asserted leaves room for
// slow machines.
TEST_F(ScannerTest, FiveThousandModels) {
    constexpr int kModels = 5000;
    for (int i = 0; i < kModels; ++i) {
        store_.put(fmt::format("registry.ollama.ai/library/m{}/latest", i),
                   {{"model", fmt::format("weights {}", i)},
                    {"system", fmt::format("system {}", i)},
                    {"params", fmt::format(R"({{"temperature":0.5,"stop":["{}"]}})", i)}},
                   fmt::format(R"({{"model_format":"gguf","model_type":"{}"}})", i));
        put(fmt::format("models/g{}.gguf", i));
    }
    const auto ms_since = [](Clock::time_point begin) {
        return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
    };
    ModelSources sources{.models_dir = (folder_ / "models").string(), .ollama_stores = {(folder_ / "ollama").string()}};
    FolderWatch watch;
    Scanner scanner(sources);
    auto begin = Clock::now();
    (void)scanner.scan(Scanner::Extent::kNear);
    const double near_ms = ms_since(begin);
    begin = Clock::now();
    (void)scanner.scan(Scanner::Extent::kAll, &watch);
    const double first_ms = ms_since(begin);
    begin = Clock::now();
    (void)scanner.scan(Scanner::Extent::kAll, &watch);
    const double again_ms = ms_since(begin);

    const Catalog all{std::move(sources)};
    ASSERT_EQ(all.list().size(), 2U * kModels);
    begin = Clock::now();
    constexpr int kNames = 1000;
    for (int i = 0; i < kNames; ++i) {
        ASSERT_TRUE(all.find(fmt::format("LIBRARY/m{}", i)));
        ASSERT_TRUE(all.find(fmt::format("g{}", i)));
    }
    const double name_us = ms_since(begin) * 1000 / (2 * kNames);
    fmt::print(
        "5000 GGUF files, which a start waits for: {:.0f} ms; with 5000 manifests, read beside it: {:.0f} ms; "
        "again: {:.0f} ms; a name: {:.1f} us\n",
        near_ms, first_ms, again_ms, name_us);
    EXPECT_LT(name_us, 1000);
    EXPECT_LT(near_ms, 2000);
    EXPECT_LT(again_ms, 5000);
}

TEST_F(ScannerTest, ModelsOfOtherServersAreTheWeakest) {
    put("models/here.gguf");
    configure(
        "[models.here2]\nfrom = \"there\"\nsystem = \"s\"\n[models.there]\ntemperature = 0.5\n"
        "[models.lost]\nupstream = \"nobody\"\n[models.wrong]\nupstream = \"u\"\ncontext = 10\n"
        "[models.here3]\nupstream = \"u\"\n");
    ModelSources sources;
    sources.models_dir = (folder_ / "models").string();
    sources.models_toml = (folder_ / "models.toml").string();
    sources.upstreams = {"u", "v"};
    Catalog all(std::move(sources));
    EXPECT_EQ(all.find("there").error().code, ErrorCode::kNotFound);
    const auto generation = all.generation();
    all.scanner()->set_remote({{"u", "here"}, {"u", "there"}, {"v", "there"}, {"v", "only:latest"}});
    all.refresh();
    EXPECT_NE(all.generation(), generation);
    EXPECT_FALSE(all.find("here")->remote) << "a file goes before it";
    EXPECT_EQ(all.find("there")->remote, (RemoteModel{"u", "there"})) << "the first of two";
    EXPECT_EQ(profile_of(*all.find("there")).request.temperature, 0.5F);
    EXPECT_EQ(all.find("only")->remote->upstream, "v");
    EXPECT_EQ(all.find("here2")->remote->model, "there");
    EXPECT_EQ(profile_of(*all.find("here2")).request.system, "s");
    EXPECT_EQ(all.find("here3")->remote, (RemoteModel{"u", "here3"}));
    EXPECT_NE(all.find("lost").error().message.find("none of UPSTREAMS"), std::string::npos);
    EXPECT_NE(all.find("wrong").error().message.find("how it is loaded"), std::string::npos);
    all.refresh();
    const auto same = all.generation();
    all.refresh();
    EXPECT_EQ(all.generation(), same) << "nothing new is the same listing";
}

}  // namespace
}  // namespace sutazai::catalog
