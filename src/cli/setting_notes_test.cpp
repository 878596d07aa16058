#include "cli/setting_notes.h"

#include <gtest/gtest.h>

#include <map>

namespace sutazai::cli {
namespace {

using Notes = std::vector<std::string>;

Notes notes_of(const std::map<std::string, std::string>& flags, unsigned n_processors = 4) {
    const auto loaded = config::load({.flags = flags, .environment = {{"HOME", "/home/user"}}});
    return loaded ? setting_notes(*loaded, n_processors) : Notes{loaded.error().message};
}

TEST(SettingNotes, DefaultsHaveNone) {
    EXPECT_EQ(notes_of({}), Notes{});
    EXPECT_EQ(notes_of({{"BATCH_SIZE", "64"}}), Notes{}) << "the largest batch grows with it";
    EXPECT_EQ(notes_of({{"THREADS", "4"}, {"CONTEXT_TOKENS", "512"}, {"BATCH_TOKENS", "32"}}), Notes{});
    EXPECT_EQ(notes_of({{"THREADS", "1000"}}, 0), Notes{}) << "nobody knows how many processors there are";
}

TEST(SettingNotes, NameTheSettingAndWhatIsUsed) {
    EXPECT_EQ(notes_of({{"THREADS", "1000"}}, 2),
              Notes{"THREADS=1000, and there are 2 processors: threads that share one make a step slower"});
    EXPECT_EQ(notes_of({{"THREADS", "2"}}, 1),
              Notes{"THREADS=2, and there is 1 processor: threads that share one make a step slower"});
    EXPECT_EQ(notes_of({{"BATCH_SIZE", "256"}}), Notes{"BATCH_SIZE=256 is more than fits: 255 is used"});
    EXPECT_EQ(notes_of({{"BATCH_SIZE_MAX", "256"}}), Notes{"BATCH_SIZE_MAX=256 is more than fits: 255 is used"});
    EXPECT_EQ(notes_of({{"BATCH_SIZE_MAX", "4"}}), Notes{"BATCH_SIZE_MAX=4 is less than BATCH_SIZE: 8 is used"});
    EXPECT_EQ(notes_of({{"BATCH_TOKENS", "16"}}),
              Notes{"BATCH_TOKENS=16 has no token for each sequence of a full batch: 32 is used"});
    EXPECT_EQ(notes_of({{"CONTEXT_TOKENS", "300"}}), Notes{"CONTEXT_TOKENS=300 is no multiple of 256: 512 is used"});
}

}  // namespace
}  // namespace sutazai::cli
