#include "sched/waiting_queue.h"

#include <gtest/gtest.h>

namespace sutazai::sched {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Request request(RequestId id, int priority, Time arrival) {
    Request out;
    out.id = id;
    out.priority = priority;
    out.arrival = arrival;
    return out;
}

std::vector<RequestId> ids(const std::vector<Request*>& requests) {
    std::vector<RequestId> out;
    for (const Request* each : requests) out.push_back(each->id);
    return out;
}

TEST(WaitingQueue, PriorityGoesFirstAndWaitingMakesUpForIt) {
    Request patient = request(1, 2, seconds(0));
    Request urgent = request(2, 0, seconds(1));
    Request equal = request(3, 0, seconds(1));
    WaitingQueue queue;
    for (Request* each : {&patient, &urgent, &equal}) queue.push(*each);
    EXPECT_EQ(ids(queue.by_turn(seconds(1))), (std::vector<RequestId>{2, 3, 1}));
    EXPECT_EQ(WaitingQueue::level(patient, seconds(3)), -1);
    // All age alike, so those that are here keep their order; who comes later stands behind the aged.
    EXPECT_EQ(ids(queue.by_turn(seconds(3))), (std::vector<RequestId>{2, 3, 1}));
    Request late = request(4, 0, seconds(5));
    queue.push(late);
    EXPECT_EQ(ids(queue.by_turn(seconds(5))), (std::vector<RequestId>{2, 3, 1, 4}));
}

TEST(WaitingQueue, OneThatComesBackTakesThePlaceOfItsArrival) {
    Request first = request(1, 0, seconds(1));
    Request second = request(2, 0, seconds(2));
    Request third = request(3, 0, seconds(3));
    WaitingQueue queue;
    queue.push(first);
    queue.push(third);
    queue.put_back(second);
    EXPECT_EQ(ids(queue.by_turn(seconds(3))), (std::vector<RequestId>{1, 2, 3}));
    queue.remove(first);
    queue.put_back(first);
    EXPECT_EQ(queue.oldest().id, 1U);
}

TEST(WaitingQueue, WhatHasBegunIsNeverOverdue) {
    Request begun = request(1, 0, seconds(0));
    begun.begun = seconds(1);
    Request waits = request(2, 0, seconds(0));
    Request young = request(3, 0, milliseconds(1500));
    WaitingQueue queue;
    for (Request* each : {&begun, &waits, &young}) queue.push(*each);
    EXPECT_EQ(queue.overdue(seconds(2), seconds(1)), std::vector<RequestId>{2});
    EXPECT_TRUE(queue.overdue(seconds(2), seconds(2)).empty()) << "not longer than that";
}

}  // namespace
}  // namespace sutazai::sched
