// What happens to a warm model when its file changes.
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <optional>
#include <string>

#include "models/testing/manager_fixture.h"

namespace sutazai::models {
namespace {

using namespace testing_support;  // NOLINT(google-build-using-namespace)

class FileChangeTest : public ManagerFixture {
  protected:
    fs::path file(const std::string& name) const { return folder_ / (name + ".gguf"); }
    /// Another file of the same size under the same name.
    void rename_over(const std::string& name) const {
        fs::copy_file(file(name), folder_ / "fresh");
        fs::rename(folder_ / "fresh", file(name));
    }
    void write_in_place(const std::string& name) const {
        std::fstream out(file(name), std::ios::binary | std::ios::in | std::ios::out);
        out.seekp(-1, std::ios::end);
        out.put('x');
    }
    static asio::awaitable<int> pid_of(AdvancedModelManager& manager, std::string name) {
        co_return (co_await lease(manager, std::move(name))).engine().pid();
    }
};

TEST_F(FileChangeTest, ARenamedOverFileIsServedFromTheNextLeaseOn) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        const int before = co_await pid_of(manager, "a");
        EXPECT_EQ(co_await pid_of(manager, "a"), before) << "as long as it is the same file";
        rename_over("a");
        const int after = co_await pid_of(manager, "a");
        EXPECT_NE(after, before);
        EXPECT_EQ(n_loads("a"), 2);
        EXPECT_EQ(co_await pid_of(manager, "a"), after);
        EXPECT_EQ(status(manager, "a").file_note, "");
    });
}

TEST_F(FileChangeTest, SoIsOneThatWasWrittenInPlace) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        const int before = co_await pid_of(manager, "a");
        write_in_place("a");
        EXPECT_NE(co_await pid_of(manager, "a"), before);
        EXPECT_EQ(n_loads("a"), 2);
    });
}

TEST_F(FileChangeTest, AWarmUpLoadsItAnewToo) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        EXPECT_TRUE(co_await manager.warm("a"));
        rename_over("a");
        EXPECT_TRUE(co_await manager.warm("a"));
        EXPECT_EQ(n_loads("a"), 2);
    });
}

TEST_F(FileChangeTest, RunningRequestsFinishWhereTheyBeganBesideTheNewWeights) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        std::optional<Lease> held = co_await lease(manager, "a");
        const int before = held->engine().pid();
        rename_over("a");
        Lease next = co_await lease(manager, "a");
        EXPECT_NE(next.engine().pid(), before);
        EXPECT_EQ(status(manager, "a").in_use, 2U);
        ipc::TokenStream stream = held->engine().submit(request("count 2"));
        GenerationUpdate update;
        do update = co_await stream.next();
        while (!update.last());
        EXPECT_TRUE(update.finished) << "the old engine still serves";
        // Both have a place, and there are two.
        std::optional<Result<Lease>> other;
        acquire_later(manager, "b", other);
        co_await sleep_for(20ms);
        EXPECT_FALSE(other);
        const auto counted = [&] { return status(manager, "a").stats.generation_tokens; };
        const std::uint64_t tokens = counted();
        held.reset();
        co_await until([&] { return other.has_value(); });
        EXPECT_TRUE(*other);
        EXPECT_GE(counted(), tokens) << "what the old engine did is not forgotten";
        EXPECT_EQ(status(manager, "a").in_use, 1U);
        EXPECT_EQ(n_loads("a"), 2);
    });
}

TEST_F(FileChangeTest, AFileThatChangesAgainMeanwhileIsLoadedToo) {
    settings_.model_cache_size = 3;
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        const Lease first = co_await lease(manager, "a");
        rename_over("a");
        const Lease second = co_await lease(manager, "a");
        rename_over("a");
        const Lease third = co_await lease(manager, "a");
        EXPECT_NE(first.engine().pid(), second.engine().pid());
        EXPECT_NE(second.engine().pid(), third.engine().pid());
        EXPECT_TRUE(first.engine().alive() && second.engine().alive());
        EXPECT_EQ(n_loads("a"), 3);
    });
}

TEST_F(FileChangeTest, AnOldEngineThatDiesLeavesTheNewOneAlone) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        std::optional<Lease> held = co_await lease(manager, "a");
        const int before = held->engine().pid();
        rename_over("a");
        const int after = co_await pid_of(manager, "a");
        ::kill(before, SIGKILL);
        co_await until([&] { return !held->engine().alive(); });
        EXPECT_EQ(co_await pid_of(manager, "a"), after);
        EXPECT_EQ(status(manager, "a").crashes, 0U);
        held.reset();
    });
}

TEST_F(FileChangeTest, TheEndDoesNotWaitForALeaseOnTheOldFile) {
    std::optional<Lease> held;
    run([&](AdvancedModelManager& manager) -> asio::awaitable<void> {
        held = co_await lease(manager, "a");
        rename_over("a");
        co_await pid_of(manager, "a");
        co_await manager.drain(50ms);
        EXPECT_FALSE(held->engine().alive());
        held.reset();
    });
}

TEST_F(FileChangeTest, WithoutRoomForBothTheNewWeightsWait) {
    settings_.model_cache_size = 1;
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        std::optional<Lease> held = co_await lease(manager, "a");
        const int before = held->engine().pid();
        rename_over("a");
        std::optional<Result<Lease>> next;
        acquire_later(manager, "a", next);
        co_await until([&] { return state(manager, "a") == ModelState::kDraining; });
        EXPECT_EQ(status(manager, "a").file_note, "changed on disk");
        ipc::TokenStream stream = held->engine().submit(request("count 2"));
        EXPECT_FALSE((co_await stream.next()).error) << "the old engine still serves";
        co_await sleep_for(20ms);
        EXPECT_FALSE(next) << "the new weights wait for it";
        held.reset();
        co_await until([&] { return next.has_value(); });
        EXPECT_TRUE(*next);
        EXPECT_NE((*next)->engine().pid(), before);
    });
}

TEST_F(FileChangeTest, ManyWhoAskCauseOneReload) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        co_await pid_of(manager, "a");
        rename_over("a");
        std::vector<std::optional<Result<Lease>>> got(20);
        for (auto& one : got) acquire_later(manager, "a", one);
        co_await until([&] { return std::ranges::all_of(got, [](const auto& one) { return one.has_value(); }); });
        for (const auto& one : got) EXPECT_TRUE(one->has_value());
        EXPECT_EQ(n_loads("a"), 2);
    });
}

TEST_F(FileChangeTest, APinnedModelIsLoadedAnewAndStaysPinned) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        co_await pid_of(manager, "a");
        EXPECT_TRUE(co_await manager.pin("a", true));
        rename_over("a");
        co_await pid_of(manager, "a");
        EXPECT_EQ(n_loads("a"), 2);
        EXPECT_TRUE(status(manager, "a").pinned);
    });
}

TEST_F(FileChangeTest, ABrokenNewFileLeavesTheOldWeights) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        const int before = co_await pid_of(manager, "a");
        std::ofstream(folder_ / "fresh") << "this is no model";
        fs::rename(folder_ / "fresh", file("a"));
        EXPECT_EQ(co_await pid_of(manager, "a"), before);
        EXPECT_EQ(status(manager, "a").file_note,
                  "changed on disk, and cannot be loaded: the file is no GGUF file: it does not begin with \"GGUF\"");
        EXPECT_EQ(state(manager, "a"), ModelState::kWarm);
        fs::copy_file(file("b"), folder_ / "fresh");
        fs::rename(folder_ / "fresh", file("a"));
        EXPECT_NE(co_await pid_of(manager, "a"), before) << "until there is a good one";
        EXPECT_EQ(status(manager, "a").file_note, "");
    });
}

TEST_F(FileChangeTest, AFileThatIsGoneLeavesThemToo) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        const int before = co_await pid_of(manager, "a");
        fs::remove(file("a"));
        EXPECT_EQ(co_await pid_of(manager, "a"), before);
        EXPECT_EQ(status(manager, "a").file_note, "its file is gone");
    });
}

TEST_F(FileChangeTest, AFileThatIsBeingWrittenIsWaitedForAWhile) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        const int before = co_await pid_of(manager, "a");
        bool writes = true;
        asio::co_spawn(
            io_,
            [&]() -> asio::awaitable<void> {
                while (writes) {
                    write_in_place("a");
                    co_await sleep_for(20ms);
                }
            },
            asio::detached);
        co_await sleep_for(1ms);
        const auto got = co_await manager.acquire("a");
        EXPECT_EQ(got.error().message, "the file of 'a' is being written to; it is loaded anew afterwards");
        EXPECT_EQ(got.error().code, ErrorCode::kUnavailable);
        EXPECT_EQ(n_loads("a"), 1) << "nothing is loaded from half a file";
        writes = false;
        co_await sleep_for(50ms);
        EXPECT_NE(co_await pid_of(manager, "a"), before);
    });
}

TEST_F(FileChangeTest, AFileThatWasOverwrittenWithGarbageHasNoOldWeights) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        co_await pid_of(manager, "a");
        std::ofstream(file("a")) << "this is no model";
        const auto got = co_await manager.acquire("a");
        EXPECT_EQ(got.error().message,
                  "'a' could not be loaded: its file was changed on disk: the file is no GGUF file: it does not begin "
                  "with \"GGUF\"");
        co_await until([&] { return n_children() == 0U; });
        EXPECT_FALSE(co_await manager.acquire("a"));
        fs::copy_file(file("b"), folder_ / "fresh");
        fs::rename(folder_ / "fresh", file("a"));
        EXPECT_TRUE(co_await manager.acquire("a"));
    });
}

TEST_F(FileChangeTest, OtherRightsLoadItAnewWithoutAWait) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        const int before = co_await pid_of(manager, "a");
        fs::permissions(file("a"), fs::perms::owner_read | fs::perms::owner_write);
        // A write whose time was set back would look the same.
        const auto begin = Clock::now();
        EXPECT_NE(co_await pid_of(manager, "a"), before);
        EXPECT_LT(Clock::now() - begin, 400ms);
    });
}

TEST_F(FileChangeTest, AMendedFileIsTriedAtOnce) {
    run([this](AdvancedModelManager& manager) -> asio::awaitable<void> {
        EXPECT_FALSE(co_await manager.acquire("text"));
        EXPECT_FALSE(co_await manager.acquire("text")) << "the back-off";
        fs::copy_file(file("a"), folder_ / "fresh");
        fs::rename(folder_ / "fresh", file("text"));
        EXPECT_TRUE(co_await manager.acquire("text"));
    });
}

TEST_F(FileChangeTest, AMissingPartIsNamed) {
    std::ofstream(folder_ / "big-00001-of-00002.gguf", std::ios::binary) << small_gguf();
    run([](AdvancedModelManager& manager) -> asio::awaitable<void> {
        const auto got = co_await manager.acquire("big");
        EXPECT_EQ(got.error().message, "the model \"big\" cannot be used: its part big-00002-of-00002.gguf is missing");
        EXPECT_EQ(status(manager, "big").file_note, "its part big-00002-of-00002.gguf is missing");
    });
}

}  // namespace
}  // namespace sutazai::models
