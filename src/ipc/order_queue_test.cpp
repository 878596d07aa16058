#include "ipc/order_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <new>
#include <stdexcept>
#include <vector>

namespace sutazai::ipc {
namespace {

/// What has become of orders, in the order in which it was told.
class Book {
  public:
    OrderQueue::Order order(
        std::string name, std::function<void()> work = [] {}) {
        return {[this, name, work = std::move(work)] {
                    work();
                    note(name + " done");
                },
                [this, name](const std::string& why) { note(name + " refused: " + why); }};
    }
    std::vector<std::string> entries() {
        const std::lock_guard lock(mutex_);
        return entries_;
    }

  private:
    void note(std::string entry) {
        const std::lock_guard lock(mutex_);
        entries_.push_back(std::move(entry));
    }
    std::mutex mutex_;
    std::vector<std::string> entries_;
};

TEST(OrderQueue, OneAtATimeInTheirOrder) {
    Book book;
    std::atomic<int> at_once = 0;
    const auto alone = [&] {
        EXPECT_EQ(++at_once, 1);
        std::this_thread::yield();
        --at_once;
    };
    std::promise<void> done;
    std::vector<std::string> expected;
    {
        OrderQueue queue;
        for (int i = 0; i < 100; ++i) {
            queue.add(book.order(std::to_string(i), alone));
            expected.push_back(std::to_string(i) + " done");
        }
        queue.add_last({[&] { done.set_value(); }, [](const std::string&) {}});
        done.get_future().wait();
    }
    EXPECT_EQ(book.entries(), expected);
}

TEST(OrderQueue, NothingComesAfterTheLast) {
    Book book;
    std::promise<void> go;
    std::promise<void> done;
    {
        OrderQueue queue;
        queue.add(book.order("save", [&] { go.get_future().wait(); }));
        queue.add_last(book.order("drain", [&] { done.set_value(); }));
        queue.add(book.order("late"));
        queue.add_last(book.order("drain again"));
        const std::vector<std::string> at_once{"late refused: the engine is being stopped",
                                               "drain again refused: the engine is being stopped"};
        EXPECT_EQ(book.entries(), at_once) << "while the orders before still wait";
        go.set_value();
        done.get_future().wait();
    }
    const std::vector<std::string> all{"late refused: the engine is being stopped",
                                       "drain again refused: the engine is being stopped", "save done", "drain done"};
    EXPECT_EQ(book.entries(), all);
}

TEST(OrderQueue, WhatStillWaitsAtTheEndIsRefused) {
    Book book;
    std::promise<void> begun;
    std::promise<void> go;
    std::jthread ender;
    {
        OrderQueue queue;
        queue.add(book.order("first", [&] {
            begun.set_value();
            go.get_future().wait();
        }));
        begun.get_future().wait();
        queue.add(book.order("second"));
        ender = std::jthread([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            go.set_value();
        });
    }
    const std::vector<std::string> expected{"first done", "second refused: the engine is being stopped"};
    EXPECT_EQ(book.entries(), expected);
}

TEST(OrderQueue, AnOrderThatThrowsIsRefusedAndTheNextIsCarriedOut) {
    Book book;
    std::promise<void> done;
    {
        OrderQueue queue;
        queue.add(book.order("bad", [] { throw std::runtime_error("no paper"); }));
        queue.add(book.order("worse", [] { throw std::bad_alloc(); }));
        queue.add(book.order("good", [&] { done.set_value(); }));
        done.get_future().wait();
    }
    const std::vector<std::string> expected{"bad refused: no paper", "worse refused: std::bad_alloc", "good done"};
    EXPECT_EQ(book.entries(), expected);
}

}  // namespace
}  // namespace sutazai::ipc
