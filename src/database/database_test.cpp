#include "database/database.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <thread>
#include <vector>

#include "base/testing/temporary_folder.h"

namespace sutazai::database {
namespace {

constexpr std::array kFirst = {"CREATE TABLE words(word TEXT PRIMARY KEY) STRICT"};
constexpr std::array kBoth = {"CREATE TABLE words(word TEXT PRIMARY KEY) STRICT",
                              "ALTER TABLE words ADD COLUMN n INTEGER NOT NULL DEFAULT 0"};

Result<void> add(Database& database, const std::string& word) {
    return database.write("cannot add", [&](SQLite::Database& open) -> Result<void> {
        SQLite::Statement statement(open, "INSERT INTO words(word) VALUES(?)");
        statement.bind(1, word);
        statement.exec();
        return {};
    });
}

int count(Database& database) {
    auto n = database.run("cannot count", [](SQLite::Database& open) -> Result<int> {
        return open.execAndGet("SELECT count(*) FROM words").getInt();
    });
    return n.value_or(-1);
}

class DatabaseTest : public testing::Test {
  protected:
    [[nodiscard]] std::unique_ptr<Database> open(std::span<const char* const> steps = kFirst) const {
        auto database = Database::open(path_, steps, Database::Durability::kProcess);
        EXPECT_TRUE(database.has_value()) << (database ? "" : database.error().message);
        return database ? std::move(*database) : nullptr;
    }

    TemporaryFolder folder_;
    std::filesystem::path path_ = folder_.path() / "new" / "words.sqlite";
};

TEST_F(DatabaseTest, IsForItsOwnerAlone) {
    const auto database = open();
    ASSERT_TRUE(add(*database, "one"));
    for (const auto& entry : std::filesystem::directory_iterator(path_.parent_path())) {
        struct stat status {};
        ASSERT_EQ(::stat(entry.path().c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 0777U, 0600U) << entry.path();
    }
}

TEST_F(DatabaseTest, KeepsWhatWasCommittedWhenTheProcessIsKilled) {
    const pid_t child = ::fork();
    if (child == 0) {
        const auto database = open();
        if (!add(*database, "one")) ::_exit(1);
        (void)database->write("", [](SQLite::Database& inner) -> Result<void> {
            inner.exec("INSERT INTO words(word) VALUES('half')");
            ::kill(::getpid(), SIGKILL);
            return {};
        });
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(count(*open()), 1);
}

TEST_F(DatabaseTest, AnErrorUndoesTheWholeTransaction) {
    const auto database = open();
    ASSERT_TRUE(add(*database, "one"));
    const auto done = database->write("cannot add", [](SQLite::Database& inner) -> Result<void> {
        inner.exec("INSERT INTO words(word) VALUES('two')");
        return fail(ErrorCode::kInvalidArgument, "no");
    });
    EXPECT_EQ(done.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(count(*database), 1);
    EXPECT_EQ(add(*database, "one").error().message, "cannot add: UNIQUE constraint failed: words.word");
    EXPECT_EQ(count(*database), 1);
}

TEST_F(DatabaseTest, GoesThroughTheStepsThatAreNew) {
    ASSERT_TRUE(add(*open(), "one"));
    const auto n = open(kBoth)->run(
        "", [](SQLite::Database& inner) -> Result<int> { return inner.execAndGet("SELECT n FROM words").getInt(); });
    EXPECT_EQ(n.value_or(-1), 0);
    const auto older = Database::open(path_, kFirst, Database::Durability::kDisk);
    ASSERT_FALSE(older);
    EXPECT_NE(older.error().message.find("newer version"), std::string::npos);
}

TEST_F(DatabaseTest, AFailedStepLeavesTheFileAsItWas) {
    ASSERT_TRUE(add(*open(), "one"));
    constexpr std::array kBroken = {kBoth[0], "CREATE TABLE more(n INTEGER) STRICT; CREATE TABLE words(n INTEGER)"};
    const auto broken = Database::open(path_, kBroken, Database::Durability::kDisk);
    ASSERT_FALSE(broken);
    EXPECT_EQ(broken.error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(count(*open()), 1);
}

TEST_F(DatabaseTest, WhatIsNoDatabaseIsLeftAsItIs) {
    std::filesystem::create_directories(path_.parent_path());
    const std::string text(5000, 'x');
    std::ofstream(path_) << text;
    const auto opened = Database::open(path_, kFirst, Database::Durability::kDisk);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, ErrorCode::kUnavailable);
    EXPECT_NE(opened.error().message.find(path_.string()), std::string::npos);
    std::ifstream in(path_);
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), text);
}

TEST_F(DatabaseTest, ALinkIsNotFollowed) {
    std::filesystem::create_directories(path_.parent_path());
    std::filesystem::create_symlink(folder_.path() / "elsewhere", path_);
    EXPECT_FALSE(Database::open(path_, kFirst, Database::Durability::kDisk));
    EXPECT_FALSE(std::filesystem::exists(folder_.path() / "elsewhere"));
}

TEST_F(DatabaseTest, ThreadsTakeTurns) {
    const auto database = open();
    {
        std::vector<std::jthread> threads;
        for (int thread = 0; thread < 4; ++thread) {
            threads.emplace_back([&database, thread] {
                for (int i = 0; i < 50; ++i) {
                    EXPECT_TRUE(add(*database, std::to_string(thread) + "-" + std::to_string(i)));
                }
            });
        }
    }
    EXPECT_EQ(count(*database), 200);
}

}  // namespace
}  // namespace sutazai::database
