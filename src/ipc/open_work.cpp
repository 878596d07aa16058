#include "ipc/open_work.h"

#include <algorithm>
#include <utility>

#include "ipc/channel.h"
#include "ipc/wire.h"

namespace sutazai::ipc {

void OpenWork::Answers::refuse(const Error& error) const {
    for (const auto& channel : channels) channel->fail(error);
}

OpenWork::Answers OpenWork::prepare(int n) {
    Answers out;
    const auto n_ids = static_cast<RequestId>(std::max(n, 1));
    out.first = std::exchange(next_id_, next_id_ + n_ids);
    for (RequestId id = out.first; id < out.first + n_ids; ++id) {
        out.channels.push_back(std::make_shared<TokenStream::Channel>([this, id] {
            if (channels_.erase(id) > 0) cancel_(id);
        }));
        out.streams.emplace_back(out.channels.back());
    }
    return out;
}

void OpenWork::add(const Answers& answers) {
    RequestId id = answers.first;
    for (const auto& channel : answers.channels) channels_.emplace(id++, channel);
}

std::pair<std::uint64_t, std::shared_ptr<OpenWork::Order>> OpenWork::add_order() {
    const std::uint64_t id = next_order_id_++;
    return *orders_.emplace(id, std::make_shared<Order>()).first;
}

void OpenWork::deliver(const wire::StepOutput& step) {
    for (const wire::PromptProgress& progress : step.prompts()) {
        const auto found = channels_.find(progress.request_id());
        if (found != channels_.end()) found->second->note_prompt(from_wire(progress));
    }
    for (const wire::Delta& delta : step.deltas()) {
        const auto found = channels_.find(delta.request_id());
        if (found == channels_.end()) continue;
        // Nearly every delta of a stream is nothing but text.
        if (delta.scores_size() + delta.embedding_size() + delta.tool_calls_size() > 0 || !delta.reasoning().empty()) {
            found->second->add(from_wire(delta));
        } else {
            found->second->add(delta.content(), delta.n_tokens());
        }
    }
    for (const wire::Finished& finished : step.finished()) {
        if (const auto ended = channels_.extract(finished.request_id())) ended.mapped()->finish(from_wire(finished));
    }
    for (const wire::Failed& failed : step.failed()) {
        if (const auto ended = channels_.extract(failed.request_id())) ended.mapped()->fail(from_wire(failed));
    }
}

void OpenWork::deliver(wire::ArtifactReport& report) {
    const auto found = orders_.extract(report.id());
    if (!found) return;
    if (report.refused()) {
        found.mapped()->result = fail(ErrorCode::kUnavailable, std::move(*report.mutable_problem()));
    } else {
        found.mapped()->result = from_wire(report);
    }
    found.mapped()->ready.notify();
}

void OpenWork::end(const std::string& why) {
    for (const auto& [id, channel] : std::exchange(channels_, {})) channel->fail({ErrorCode::kEngineDied, why});
    for (const auto& [id, order] : std::exchange(orders_, {})) {
        order->result = fail(ErrorCode::kEngineDied, why);
        order->ready.notify();
    }
}

}  // namespace sutazai::ipc
