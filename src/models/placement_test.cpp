#include "models/placement.h"

#include <gtest/gtest.h>

#include <initializer_list>

namespace sutazai::models::placement {
namespace {

using namespace std::chrono_literals;
using Kind = Action::Kind;
using Actions = std::vector<Action>;

constexpr Time kNow{100h};

class PlacementTest : public testing::Test {
  protected:
    static Model cold(double score = 0) { return {.score = score, .bytes = 1}; }
    static Model waiting(Clock::duration for_time = 0s) {
        return {.n_waiting = 1, .waiting_since = kNow - for_time, .bytes = 1};
    }
    static Model idle(double score) { return {.phase = Phase::kWarm, .score = score, .bytes = 1}; }
    static Model busy(double score) {
        Model model = idle(score);
        model.n_leases = 1;
        return model;
    }
    static Model leaving(double score) {
        Model model = busy(score);
        model.phase = Phase::kLeaving;
        return model;
    }

    [[nodiscard]] Plan decide(const std::vector<Model>& models, Room ending = {}) const {
        return plan(models, ending, rules_, kNow);
    }
    [[nodiscard]] Actions actions(const std::vector<Model>& models, Room ending = {}) const {
        return decide(models, ending).actions;
    }

    Rules rules_{.room = {2, 100}};
};

TEST_F(PlacementTest, LoadsWhileThereIsRoomInTheOrderOfWaiting) {
    EXPECT_EQ(actions({waiting(1s), waiting(2s), waiting(0s)}), (Actions{{Kind::kLoad, 1}, {Kind::kLoad, 0}}));
    EXPECT_EQ(actions({waiting(), idle(1)}), (Actions{{Kind::kLoad, 0}}));
    EXPECT_EQ(actions({cold(), idle(1)}), Actions{});
}

TEST_F(PlacementTest, BytesCountAsWellAsPlaces) {
    Model large = waiting();
    large.bytes = 60;
    Model warm = idle(1);
    warm.bytes = 41;
    EXPECT_EQ(actions({large, warm}), (Actions{{Kind::kEvict, 1}}));
    warm.bytes = 40;
    EXPECT_EQ(actions({large, warm}), (Actions{{Kind::kLoad, 0}}));
    EXPECT_EQ(actions({large, warm}, {1, 10}), Actions{}) << "what is ending still takes its memory";
}

TEST_F(PlacementTest, TheLeastAskedForMakesRoom) {
    EXPECT_EQ(actions({waiting(), idle(2), idle(1)}), (Actions{{Kind::kEvict, 2}}));
    Model pinned = idle(1);
    pinned.pinned = true;
    EXPECT_EQ(actions({waiting(), idle(2), pinned}), (Actions{{Kind::kEvict, 1}}));
    EXPECT_EQ(actions({waiting(), cold(), idle(2)}, {1, 1}), Actions{}) << "room comes already";
}

TEST_F(PlacementTest, OnlyAsManyLeaveAsAreNeeded) {
    rules_.room = {8, 100};
    Model large = waiting();
    large.bytes = 60;
    Model small = idle(1);
    small.bytes = 10;
    Model other = idle(2);
    other.bytes = 80;
    EXPECT_EQ(actions({large, small, other}), (Actions{{Kind::kEvict, 2}})) << "the large one suffices";
    small.bytes = 20;
    large.bytes = 100;
    EXPECT_EQ(actions({large, small, other}), (Actions{{Kind::kEvict, 1}, {Kind::kEvict, 2}}));
    other.pinned = true;
    EXPECT_EQ(actions({large, small, other}), Actions{}) << "leaving would be in vain";
}

TEST_F(PlacementTest, ABusyModelGoesOnForAWhile) {
    const Plan patient = decide({waiting(70ms), busy(1), busy(2)});
    EXPECT_EQ(patient.actions, Actions{});
    EXPECT_EQ(patient.look_again, kNow + 30ms);
    EXPECT_EQ(actions({waiting(500ms), busy(1), busy(2)}), (Actions{{Kind::kLeave, 1}}));
    Model much = busy(1);
    much.n_admitted = 64;
    EXPECT_EQ(actions({waiting(70ms), much, busy(2)}), (Actions{{Kind::kLeave, 1}}));
    EXPECT_EQ(actions({waiting(500ms), leaving(3), busy(2)}), Actions{}) << "it is on its way";
    Model slow = waiting(500ms);
    slow.load_time = 400ms;
    EXPECT_EQ(decide({slow, busy(1), busy(2)}).look_again, kNow + 300ms) << "a dear swap is worth a longer wait";
    slow.load_time = 1h;
    EXPECT_EQ(decide({slow, busy(1), busy(2)}).look_again, kNow + 1500ms);
    Model fresh = busy(1);
    fresh.loaded_at = kNow - 20ms;
    EXPECT_EQ(decide({waiting(500ms), fresh, busy(2)}).look_again, kNow + 80ms) << "nobody is loaded for nothing";
}

TEST_F(PlacementTest, AnIdleModelSparesTheWaitUnlessItIsMissedMore) {
    EXPECT_EQ(actions({waiting(0ms), busy(1), idle(1.2)}), (Actions{{Kind::kEvict, 2}}));
    EXPECT_EQ(actions({waiting(0ms), busy(1), idle(5)}), Actions{});
    EXPECT_EQ(actions({waiting(500ms), busy(1), idle(5)}), (Actions{{Kind::kEvict, 2}}));
    EXPECT_EQ(actions({waiting(500ms), leaving(1), idle(5)}), (Actions{{Kind::kStay, 1}, {Kind::kEvict, 2}}));
}

TEST_F(PlacementTest, LeavingModelsStayWhenNobodyWaits) {
    EXPECT_EQ(actions({cold(), leaving(1), leaving(2)}), (Actions{{Kind::kStay, 1}, {Kind::kStay, 2}}));
    EXPECT_EQ(actions({waiting(1s), leaving(1), leaving(2)}), (Actions{{Kind::kStay, 2}}));
    Model last = leaving(1);
    last.n_leases = 0;
    EXPECT_EQ(actions({waiting(1s), last, busy(2)}), (Actions{{Kind::kEvict, 1}}));
    last.dismissed = true;
    EXPECT_EQ(actions({cold(), last, busy(2)}), (Actions{{Kind::kUnload, 1}}));
    last.n_leases = 1;
    EXPECT_EQ(actions({cold(), last, busy(2)}), Actions{}) << "whoever sent it away does not want it to stay";
}

TEST_F(PlacementTest, ANewFileIsLoadedBesideTheOldOneWhereThereIsRoom) {
    Model old = leaving(1);
    old.dismissed = true;
    old.next_bytes = 60;
    EXPECT_EQ(actions({old}), Actions{}) << "nobody waits for it";
    old.n_waiting = 1;
    old.waiting_since = kNow;
    EXPECT_EQ(actions({old}), (Actions{{Kind::kSucceed, 0}}));
    EXPECT_EQ(actions({old, idle(0)}), Actions{}) << "no place, and nobody makes room";
    EXPECT_EQ(actions({old}, {1, 1}), Actions{});
    old.bytes = 41;
    EXPECT_EQ(actions({old}), Actions{}) << "no memory for both";
    EXPECT_EQ(actions({old, waiting()}), (Actions{{Kind::kLoad, 1}})) << "others do not wait behind it";
    old.bytes = 40;
    EXPECT_EQ(actions({old}), (Actions{{Kind::kSucceed, 0}}));
    EXPECT_EQ(actions({old, waiting(1s)}), (Actions{{Kind::kLoad, 1}})) << "who waited longer comes first";
    old.n_leases = 0;
    EXPECT_EQ(actions({old}), (Actions{{Kind::kUnload, 0}})) << "an idle one just ends";
}

TEST_F(PlacementTest, NobodyOvertakesOneThatWaitsForOthersToLeave) {
    rules_.room = {8, 100};
    Model large = waiting(50ms);
    large.bytes = 90;
    Model warm = busy(1);
    warm.bytes = 50;
    EXPECT_EQ(actions({large, warm, waiting(0s)}), Actions{}) << "though there is room for the small one";
}

TEST_F(PlacementTest, AWarmUpThatMustNotDisplaceIsRefused) {
    Model modest = waiting();
    modest.may_displace = false;
    EXPECT_EQ(actions({modest, idle(1), idle(2)}), (Actions{{Kind::kRefuse, 0}}));
    EXPECT_EQ(actions({modest, idle(1)}), (Actions{{Kind::kLoad, 0}}));
}

TEST_F(PlacementTest, KeepAlivesEnd) {
    Model warm = idle(1);
    warm.unload_at = kNow + 1s;
    EXPECT_EQ(decide({warm}).look_again, kNow + 1s);
    warm.unload_at = kNow;
    EXPECT_EQ(actions({warm}), (Actions{{Kind::kUnload, 0}}));
    warm.pinned = true;
    EXPECT_EQ(actions({warm}), Actions{});
    warm.pinned = false;
    warm.n_leases = 1;
    EXPECT_EQ(actions({warm}), Actions{});
    warm.n_leases = 0;
    EXPECT_EQ(actions({waiting(), idle(0), warm}), (Actions{{Kind::kUnload, 2}})) << "that is room enough";
}

TEST_F(PlacementTest, WhatGrewTooLargeShrinks) {
    Model grown = idle(1);
    grown.bytes = 70;
    Model other = idle(2);
    other.bytes = 50;
    EXPECT_EQ(actions({grown, other}), (Actions{{Kind::kEvict, 0}}));
    other.bytes = 200;
    EXPECT_EQ(actions({other}), Actions{}) << "one may stay";
    grown.n_leases = 1;
    other.bytes = 50;
    EXPECT_EQ(actions({grown, other}), (Actions{{Kind::kEvict, 1}})) << "a busy one is left alone";
}

TEST_F(PlacementTest, ADisplacedModelComesBackOnceTheOthersAreIdle) {
    Model displaced = cold(2);
    displaced.displaced = true;
    Model visitor = idle(1);
    visitor.idle_since = kNow - 40ms;
    Plan decided = decide({displaced, visitor, idle(9)});
    EXPECT_EQ(decided.actions, Actions{});
    EXPECT_EQ(decided.look_again, kNow + 60ms);
    visitor.idle_since = kNow - 100ms;
    EXPECT_EQ(actions({displaced, visitor, idle(9)}), (Actions{{Kind::kEvict, 1}}));
    EXPECT_EQ(actions({displaced, cold(1), idle(9)}, {1, 1}), Actions{}) << "not before the visitor has gone";
    EXPECT_EQ(actions({displaced, cold(1), idle(9)}), (Actions{{Kind::kLoad, 0}}));

    EXPECT_EQ(actions({displaced, visitor, busy(9)}), Actions{}) << "not while anybody works";
    visitor.score = 1.9;
    EXPECT_EQ(actions({displaced, visitor, idle(9)}), Actions{}) << "not for so little";
    displaced.displaced = false;
    EXPECT_EQ(actions({displaced, idle(9)}), Actions{}) << "one that was unloaded on purpose stays away";
}

}  // namespace
}  // namespace sutazai::models::placement
