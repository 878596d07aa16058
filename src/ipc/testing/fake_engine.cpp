// Speaks the frames of an engine and misbehaves on demand; for tests only.
//
//   fake_engine engine --fd N [--log FILE]
//
// The words of the model file's base name, separated by '.', choose what happens at the load:
//   slow_load (300 ms) · slow_warm_up (300 ms, once the weights are there) · hog_N (takes N MiB) · no_artifacts ·
//   hang_load · die_in_load (exit code 3) · killed_in_load · fail_load · fail_load_N (the first N
//   times, as counted in FILE) · early_step (a step before Loaded) · ignore_drain · ignore_eof
// A text prompt, or the last message of a chat, is a command with a number:
//   count N (N tokens, one a step) · pace N (the same, a step every millisecond) · die N · abort N · garbage N ·
//   oversized N · close N · hang N (after N tokens) · strangers N (tokens for a request that nobody sent) ·
//   burst N (N tokens in one write) · fail N (Failed after N tokens) · spin N (after N tokens it computes for ever, and
//   answers pings) · toil N (computes for N ms without a token, and gets on) · break N (after N tokens a thread of it
//   dies) · rot N (after N tokens it computes what is no number) · call N (thinks for a token and calls a function)
// What asks for an embedding gets the vector (0.6, 0.8) with each token.
// --log appends a line "load PATH PID" for each process that gets its Load.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <thread>

#include "ipc/frame.h"
#include "ipc/wire.h"

namespace {

using namespace sutazai;  // NOLINT(google-build-using-namespace)

struct Running {
    std::string command;
    std::uint32_t wanted = 0;
    std::uint32_t done = 0;
    bool embeds = false;
};

class FakeEngine {
  public:
    FakeEngine(int fd, std::string log) : fd_(fd), log_(std::move(log)) {}

    int run() {
        for (;;) {
            pollfd readable{fd_, POLLIN, 0};
            while (::poll(&readable, 1, running_.empty() && !draining_ ? -1 : 0) > 0) {
                const auto room = decoder_.prepare(65536);
                const ssize_t n = ::recv(fd_, room.data(), room.size(), 0);
                if (n <= 0) return at_eof();
                decoder_.commit(static_cast<std::size_t>(n));
                handle_all();
            }
            step();
            if (draining_ && running_.empty() && !words_.contains("ignore_drain")) return 0;
        }
    }

  private:
    void handle_all() {
        wire::ToEngine message;
        for (auto payload = decoder_.next(); payload && *payload; payload = decoder_.next()) {
            if (!message.ParseFromArray((*payload)->data(), static_cast<int>((*payload)->size()))) std::_Exit(1);
            handle(message);
        }
    }

    int at_eof() const {
        if (words_.contains("ignore_eof")) ::pause();
        return 0;
    }

    void send(const wire::FromEngine& message) {
        std::string bytes;
        if (!ipc::append_frame(bytes, message) || !ipc::write_all(fd_, bytes)) std::_Exit(0);
    }

    int loads_so_far(const std::string& path) const {
        std::ifstream log(log_);
        int n = 0;
        for (std::string line; std::getline(log, line);) n += line.starts_with("load " + path + " ") ? 1 : 0;
        return n;
    }

    void load(const wire::Load& load) {
        const std::string& path = load.path();
        std::istringstream name(path.substr(path.rfind('/') + 1));
        for (std::string word; std::getline(name, word, '.');) words_.insert(word);
        const int earlier = log_.empty() ? 0 : loads_so_far(path);
        if (!log_.empty()) std::ofstream(log_, std::ios::app) << "load " << path << " " << ::getpid() << std::endl;

        wire::FromEngine message;
        message.mutable_progress()->set_fraction(0.5F);
        send(message);
        if (words_.contains("slow_load")) std::this_thread::sleep_for(std::chrono::milliseconds(300));
        if (words_.contains("hang_load")) ::pause();
        if (words_.contains("slow_warm_up")) {
            message.mutable_progress()->set_fraction(1);
            message.mutable_progress()->set_warming(true);
            send(message);
            std::this_thread::sleep_for(std::chrono::milliseconds(300));
        }
        if (words_.contains("die_in_load")) std::_Exit(3);
        if (words_.contains("killed_in_load")) (void)::raise(SIGKILL);
        if (words_.contains("early_step")) {
            message.mutable_step();
            send(message);
        }
        bool fails = words_.contains("fail_load");
        for (const std::string& word : words_) {
            if (word.starts_with("fail_load_")) fails = earlier < std::atoi(word.c_str() + std::strlen("fail_load_"));
            if (word.starts_with("hog_")) hog_.assign(std::atoll(word.c_str() + std::strlen("hog_")) << 20, 'x');
        }
        if (fails) {
            message.mutable_load_failed()->set_message("the file has no tensors");
            send(message);
            std::_Exit(1);
        }
        wire::Loaded& loaded = *message.mutable_loaded();
        loaded.set_context_tokens(load.context_tokens());
        loaded.set_context_per_sequence(load.batch_size());
        loaded.set_description("fake");
        send(message);
    }

    void handle(const wire::ToEngine& message) {
        if (message.has_load()) {
            load(message.load());
        } else if (message.has_submit()) {
            const wire::Submit& submit = message.submit();
            const bool chat = submit.has_chat() && submit.chat().messages_size() > 0 &&
                              submit.chat().messages().rbegin()->content_size() > 0;
            std::istringstream prompt(chat ? submit.chat().messages().rbegin()->content().begin()->text()
                                           : submit.text());
            Running request;
            prompt >> request.command >> request.wanted;
            request.embeds = submit.task() == static_cast<std::uint32_t>(Task::kEmbed) || submit.has_ranked_pair();
            for (RequestId i = 0; i < std::max(submit.n(), 1U); ++i) running_[submit.request_id() + i] = request;
        } else if (message.has_cancel()) {
            running_.erase(message.cancel().request_id());
        } else if (message.has_artifact_order()) {
            carry_out(message.artifact_order());
        } else if (message.has_ping()) {
            send(pong());
        } else if (message.has_drain()) {
            draining_ = true;
        }
    }

    wire::FromEngine pong() const {
        wire::FromEngine message;
        message.mutable_pong();
        if (running_.empty()) return message;
        const bool spins = std::ranges::any_of(running_, [](const auto& entry) {
            return entry.second.command == "spin" && entry.second.done == entry.second.wanted;
        });
        wire::Work& work = *message.mutable_pong()->add_busy();
        work.set_what("a step");
        work.set_progress(spins ? 0 : n_steps_);
        return message;
    }

    void carry_out(const wire::ArtifactOrder& order) {
        ArtifactReport done;
        switch (static_cast<ArtifactAction>(order.action())) {
            case ArtifactAction::kSave: done = {.saved = 3, .bytes = 4096}; break;
            case ArtifactAction::kRestore: done = {.restored = 2, .bytes = 2048}; break;
            case ArtifactAction::kPrune: done = {.removed = 1, .bytes = 1024}; break;
        }
        if (words_.contains("part_artifacts")) done.problem = "2 of 5 artifacts were not written: the disk is full";
        if (words_.contains("no_artifacts")) done.problem = "the disk is full";
        wire::FromEngine message;
        *message.mutable_artifact_report() = ipc::to_wire(order.id(), done);
        message.mutable_artifact_report()->set_refused(words_.contains("no_artifacts"));
        send(message);
    }

    void step() {
        wire::FromEngine message;
        wire::StepOutput& step = *message.mutable_step();
        bool paced = false;
        bool misbehaves = false;
        for (auto& [id, request] : running_) {
            if (request.done < request.wanted && request.command == "toil") {
                ++request.done;
                paced = true;
            } else if (request.done < request.wanted) {
                const std::uint32_t n = request.command == "burst" ? request.wanted : 1;
                for (std::uint32_t i = 0; i < n; ++i) {
                    wire::Delta& delta = *step.add_deltas();
                    delta.set_request_id(request.command == "strangers" ? id + 1000000 : id);
                    if (request.command == "call") {
                        think_or_call(request.done++, delta);
                    } else {
                        delta.set_content(" t" + std::to_string(request.done++));
                    }
                    delta.set_n_tokens(1);
                    if (request.embeds) delta.add_embedding(0.6F), delta.add_embedding(0.8F);
                }
                paced = paced || request.command == "pace";
            } else if (request.command == "spin") {
                paced = true;
            } else {
                misbehaves = misbehaves || !ends(id, request, step);
            }
        }
        for (const auto& finished : step.finished()) running_.erase(finished.request_id());
        for (const auto& failed : step.failed()) running_.erase(failed.request_id());
        step.mutable_stats()->set_running(static_cast<std::uint32_t>(running_.size()));
        step.mutable_stats()->set_steps(++n_steps_);
        step.mutable_stats()->set_broken_results(n_broken_results_);
        if (step.deltas_size() + step.finished_size() + step.failed_size() > 0) send(message);
        if (misbehaves) misbehave();
        if (paced) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }

    /// Thinks first, then calls a function with an argument for each token after that.
    static void think_or_call(std::uint32_t token, wire::Delta& delta) {
        if (token == 0) {
            delta.set_reasoning("hm");
            return;
        }
        wire::ToolCallDelta& call = *delta.add_tool_calls();
        if (token == 1) {
            call.set_id("call_1");
            call.set_name("f");
        }
        call.set_arguments(token == 1 ? "[" : std::to_string(token));
    }

    static bool ends_well(const Running& request) {
        static const std::set<std::string> kCommands{"count", "pace", "burst", "strangers", "fail",
                                                     "toil",  "spin", "rot",   "call"};
        return kCommands.contains(request.command);
    }

    /// False when the request's end is to be a disaster.
    bool ends(RequestId id, const Running& request, wire::StepOutput& step) {
        if (request.command == "rot") {
            ++n_broken_results_;
            *step.add_failed() = ipc::to_wire(id, Error{ErrorCode::kInternal, "no numbers", "prompt"});
        } else if (request.command == "fail") {
            *step.add_failed() = ipc::to_wire(id, Error{ErrorCode::kContextOverflow, "too long", "messages", 2});
        } else if (ends_well(request)) {
            const bool called = request.command == "call";
            const Finished finished{
                called ? FinishReason::kToolCalls : FinishReason::kLength, {3, request.done, 1}, {}};
            *step.add_finished() = ipc::to_wire(id, finished);
        } else {
            return false;
        }
        return true;
    }

    void misbehave() {
        for (const auto& [id, request] : running_) {
            if (request.done < request.wanted || ends_well(request)) continue;
            if (request.command == "die") std::_Exit(3);
            if (request.command == "abort") (void)::raise(SIGKILL);
            if (request.command == "garbage")
                (void)ipc::write_all(fd_, std::string("\x08\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 12));
            if (request.command == "oversized") (void)ipc::write_all(fd_, std::string(100, '\xff'));
            if (request.command == "close") ::shutdown(fd_, SHUT_RDWR);
            if (request.command == "break") {
                wire::FromEngine message;
                message.mutable_broken()->set_message("the decode thread: out of paper");
                send(message);
            }
            ::pause();
        }
    }

    int fd_;
    std::string log_;
    std::string hog_;
    ipc::FrameDecoder decoder_;
    std::set<std::string> words_;
    std::map<RequestId, Running> running_;
    std::uint64_t n_steps_ = 0;
    std::uint64_t n_broken_results_ = 0;
    bool draining_ = false;
};

}  // namespace

int main(int argc, char** argv) {
    std::map<std::string, std::string> options;
    for (int i = 2; i + 1 < argc; i += 2) options[argv[i]] = argv[i + 1];
    return FakeEngine(std::atoi(options["--fd"].c_str()), options["--log"]).run();
}
