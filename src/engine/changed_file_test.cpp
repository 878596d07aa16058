// An engine whose model file is written to while it answers.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>

#include "engine/testing/harness.h"

namespace sutazai::engine {
namespace {

namespace fs = std::filesystem;

/// A copy of the test model that a test may spoil.
class ChangedFile : public testing::Test {
  protected:
    ChangedFile() { fs::copy_file(test_model(), path_, fs::copy_options::overwrite_existing); }
    ~ChangedFile() override { fs::remove(path_); }

    [[nodiscard]] std::unique_ptr<llama::Model> load() const {
        llama::LoadOptions options;
        options.path = path_.string();
        options.context_tokens = 4096;
        options.threads = 1;
        auto model = llama::Model::load(options, [](float) {});
        EXPECT_TRUE(model) << model.error().message;
        return std::move(*model);
    }
    /// The last byte, which is a weight's.
    void write_in_place() const {
        std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
        file.seekp(-1, std::ios::end);
        file.put('x');
    }

    fs::path path_ = fs::temp_directory_path() / ("sutazai-changed-" + std::to_string(getpid()) + ".gguf");
};

TEST_F(ChangedFile, NothingThatItComputesAfterwardsLeavesTheEngine) {
    std::promise<void> first;
    std::promise<void> ended;
    std::atomic<bool> written{false};
    std::atomic<int> n_reports{0};
    std::atomic<int> n_late{0};  // reports of steps that began after the write
    EngineConfig config{.batch_size = 2, .batch_size_max = 2};
    config.on_changed_file = [&] { ended.set_value(); };
    Engine engine(load(), config, [&](const StepReport& report) {
        if (written) n_late += report.updates.empty() ? 0 : 1;
        if (!report.updates.empty() && n_reports++ == 0) first.set_value();
    });
    engine.submit(1, greedy(story(1), 2000));
    first.get_future().wait();
    write_in_place();
    written = true;
    ASSERT_EQ(ended.get_future().wait_for(std::chrono::seconds(20)), std::future_status::ready);
    // The one that had looked at the file before may still have been on its way.
    EXPECT_LE(n_late, 1);
}

TEST_F(ChangedFile, AModelThatIsNotTouchedGoesOn) {
    const auto model = load();
    EXPECT_TRUE(model->file_intact());
    EXPECT_EQ(model->properties().files.size(), 1U);
    fs::rename(path_, path_.string() + ".old");
    EXPECT_TRUE(model->file_intact()) << "another name is no change";
    fs::rename(path_.string() + ".old", path_);
    write_in_place();
    EXPECT_FALSE(model->file_intact());
}

}  // namespace
}  // namespace sutazai::engine
