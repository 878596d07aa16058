#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "api/openai_files.h"
#include "batches/file_writer.h"
#include "batches/runner.h"
#include "batches/store.h"
#include "http/query.h"
#include "http/routes.h"
#include "ipc/run_blocking.h"
#include "text/multipart.h"

/// OpenAI's /v1/files: what batches are made of and what comes out of them.
namespace sutazai::http {

namespace asio = boost::asio;
namespace openai = api::openai;

namespace {

/// Between two visits to the disk.
constexpr std::size_t kPieceBytes = 1 << 20;
/// Of a file that is sent: what a slow reader holds.
constexpr std::size_t kSentPieceBytes = 128 << 10;
constexpr std::size_t kMostFieldBytes = 4 << 10;
/// What a form is longer than its file.
constexpr std::size_t kFormBytes = 64 << 10;
constexpr int kMostListed = 10000;
constexpr std::string_view kContentSuffix = "/content";

batches::UnixTime unix_now() {
    return std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
}

/// Takes a form apart. What its file holds is gathered until take_content().
class Form final : public text::PartSink {
  public:
    explicit Form(std::uint64_t most_bytes) : most_bytes_(most_bytes) {}

    Result<void> begin(text::PartHead head) override {
        in_file_ = head.name == "file";
        if (!in_file_) {
            fields_.push_back({std::move(head.name), {}});
            return {};
        }
        if (has_file_) return fail(ErrorCode::kInvalidArgument, "The form may hold one file.", "file");
        has_file_ = true;
        filename_ = text::plain_file_name(head.filename);
        return {};
    }
    Result<void> data(std::string_view bytes) override {
        if (!in_file_) {
            std::string& value = fields_.back().value;
            if (value.size() + bytes.size() > kMostFieldBytes) {
                return fail(ErrorCode::kInvalidArgument, "A field of the form is too long.");
            }
            value += bytes;
            return {};
        }
        n_bytes_ += bytes.size();
        if (n_bytes_ > most_bytes_) {
            return fail(ErrorCode::kPayloadTooLarge,
                        fmt::format("A file may have at most {} bytes here (FILE_MAX_BYTES).", most_bytes_), "file");
        }
        content_ += bytes;
        return {};
    }
    Result<void> end() override { return {}; }

    [[nodiscard]] std::size_t gathered() const { return content_.size(); }
    [[nodiscard]] std::string take_content() { return std::exchange(content_, {}); }
    [[nodiscard]] const std::vector<openai::FormField>& fields() const { return fields_; }
    [[nodiscard]] bool has_file() const { return has_file_; }
    [[nodiscard]] const std::string& filename() const { return filename_; }

  private:
    std::uint64_t most_bytes_, n_bytes_ = 0;
    std::vector<openai::FormField> fields_;
    std::string content_, filename_;
    bool in_file_ = false, has_file_ = false;
};

using WriterPtr = std::shared_ptr<batches::FileWriter>;

asio::awaitable<Result<void>> write_piece(Services& services, WriterPtr writer, std::string piece) {
    auto write = [writer = std::move(writer), piece = std::move(piece)] { return writer->add(piece); };
    co_return co_await ipc::run_blocking(services.pool, write);
}

/// Bytes that files may still take together, those that are being sent included.
asio::awaitable<Result<std::uint64_t>> room_for_files(Services& services) {
    auto ask = [store = services.batch_store, all = services.settings.files_max_bytes]() -> Result<std::uint64_t> {
        const auto taken = store->bytes_in_all();
        if (!taken) return std::unexpected(taken.error());
        return all - std::min(all, *taken);
    };
    co_return co_await ipc::run_blocking(services.pool, ask);
}

/// What one form has sent, as long as it is on its way.
class Sent {
  public:
    explicit Sent(std::uint64_t& in_all) : in_all_(in_all) {}
    Sent(const Sent&) = delete;
    Sent& operator=(const Sent&) = delete;
    ~Sent() { in_all_ -= bytes_; }

    /// How much all forms have sent.
    std::uint64_t add(std::size_t bytes) {
        bytes_ += bytes;
        return in_all_ += bytes;
    }

  private:
    std::uint64_t& in_all_;
    std::uint64_t bytes_ = 0;
};

asio::awaitable<Result<void>> take_form(Services& services, Exchange& exchange, text::MultipartReader& reader,
                                        Form& form, WriterPtr writer, std::uint64_t room) {
    Sent sent(services.bytes_being_sent);
    for (bool more = true; more;) {
        const Result<HeldBody> piece = co_await exchange.incoming->read();
        if (!piece) co_return std::unexpected(piece.error());
        more = !piece->text().empty();
        if (sent.add(piece->text().size()) > room + kFormBytes) {
            co_return fail(ErrorCode::kPayloadTooLarge,
                           fmt::format("All files together may take {} bytes here (FILES_MAX_BYTES); delete some.",
                                       services.settings.files_max_bytes),
                           "file");
        }
        Result<void> taken = more ? reader.take(piece->text(), form) : reader.finish();
        if (!taken) co_return taken;
        if (form.gathered() == 0 || (more && form.gathered() < kPieceBytes)) continue;
        auto written = co_await write_piece(services, writer, form.take_content());
        if (!written) co_return written;
    }
    co_return Result<void>{};
}

Result<openai::FileObject> describe(const Form& form, const config::Settings& settings, std::uint64_t bytes) {
    auto fields = openai::read_file_form(form.fields());
    if (!fields) return std::unexpected(std::move(fields.error()));
    if (!form.has_file()) return fail(ErrorCode::kInvalidArgument, "file is missing.", "file");
    openai::FileObject file{
        batches::new_id("file-"), form.filename(), std::move(fields->purpose), bytes, unix_now(), 0};
    if (fields->expires_after_s > 0) {
        file.expires_unix_s = file.created_unix_s + fields->expires_after_s;
    } else if (file.purpose == openai::kBatchPurpose) {
        file.expires_unix_s = file.created_unix_s + std::int64_t{settings.batch_retention_days} * 86400;
    }
    return file;
}

/// The record of the file that the path names.
asio::awaitable<Result<openai::FileObject>> find_file(Services& services, Exchange& exchange, std::string id) {
    if (!services.batch_store->exists()) co_return fail(ErrorCode::kNotFound, "There is no such file.", "file_id");
    auto find = [store = services.batch_store, tenant = exchange.caller.tenant, id = std::move(id)] {
        return store->file(tenant, id, unix_now());
    };
    co_return co_await ipc::run_blocking(services.pool, find);
}

asio::awaitable<Result<void>> send_content(Services& services, Exchange& exchange, openai::FileObject file) {
    auto open = [path = services.batch_store->file_path(file.id)] { return open_file(path); };
    auto opened = co_await ipc::run_blocking(services.pool, open);
    if (!opened) co_return fail(ErrorCode::kNotFound, "There is no such file.", "file_id");
    const auto content = std::make_shared<File>(std::move(*opened));
    auto begun = co_await exchange.begin_sized("application/octet-stream", file.bytes);
    if (!begun || exchange.request().method == Method::kHead) co_return begun;
    for (std::uint64_t at = 0; at < file.bytes;) {
        auto read = [content, at,
                     n = std::min<std::uint64_t>(kSentPieceBytes, file.bytes - at)]() -> Result<std::string> {
            std::string piece(n, '\0');
            auto got = read_at(*content, at, std::as_writable_bytes(std::span(piece)));
            if (!got) return std::unexpected(std::move(got.error()));
            return piece;
        };
        const Result<std::string> piece = co_await ipc::run_blocking(services.pool, read);
        // The promised length cannot be kept: only the end of the connection says so.
        if (!piece) co_return fail(ErrorCode::kInternal, "The file cannot be read.");
        auto sent = co_await exchange.send_piece(*piece);
        if (!sent) co_return sent;
        at += piece->size();
    }
    co_return Result<void>{};
}

}  // namespace

asio::awaitable<Result<void>> post_file(Services& services, Exchange& exchange) {
    if (!exchange.request().content_encoding.empty()) {
        co_return fail(ErrorCode::kUnsupportedMedia, "A file is sent as it is, without Content-Encoding.",
                       "Content-Encoding");
    }
    const auto boundary = text::multipart_boundary(exchange.request().content_type);
    if (!boundary) co_return std::unexpected(boundary.error());
    const auto room = co_await room_for_files(services);
    if (!room) co_return std::unexpected(room.error());
    auto create = [store = services.batch_store] { return batches::FileWriter::create(*store); };
    auto created = co_await ipc::run_blocking(services.pool, create);
    if (!created) co_return std::unexpected(std::move(created.error()));
    const auto writer = std::make_shared<batches::FileWriter>(std::move(*created));
    Form form(services.settings.file_max_bytes);
    text::MultipartReader reader(*boundary);
    if (auto taken = co_await take_form(services, exchange, reader, form, writer, *room); !taken) co_return taken;
    const auto file = describe(form, services.settings, writer->bytes());
    if (!file) co_return std::unexpected(file.error());
    auto commit = [store = services.batch_store, writer, file = *file, tenant = exchange.caller.tenant,
                   most = services.settings.files_max_bytes]() -> Result<void> {
        const auto path = store->file_path(file.id);
        if (auto committed = writer->commit(path); !committed) return committed;
        auto recorded = store->add_file(tenant, file, most);
        std::error_code ignored;
        if (!recorded) std::filesystem::remove(path, ignored);
        return recorded;
    };
    auto committed = co_await ipc::run_blocking(services.pool, commit);
    if (!committed) co_return committed;
    services.batch_runner->look_again();
    co_return co_await exchange.send_json(200, openai::encode_file(*file));
}

asio::awaitable<Result<void>> get_files(Services& services, Exchange& exchange) {
    const auto pairs = query_pairs(exchange.request().query);
    auto query = openai::read_list_query(pairs, kMostListed, kMostListed, true);
    if (!query) co_return std::unexpected(std::move(query.error()));
    auto list = [store = services.batch_store, tenant = exchange.caller.tenant,
                 query = std::move(*query)]() -> Result<std::string> {
        if (!store->exists()) return openai::encode_files({}, false);
        const auto page = store->files(tenant, query, unix_now());
        if (!page) return std::unexpected(page.error());
        return openai::encode_files(page->items, page->has_more);
    };
    const Result<std::string> body = co_await ipc::run_blocking(services.pool, list);
    if (!body) co_return std::unexpected(body.error());
    co_return co_await exchange.send_json(200, *body);
}

asio::awaitable<Result<void>> get_file(Services& services, Exchange& exchange) {
    std::string id = exchange.parameter;
    const bool wants_content = id.ends_with(kContentSuffix);
    if (wants_content) id.resize(id.size() - kContentSuffix.size());
    auto file = co_await find_file(services, exchange, std::move(id));
    if (!file) co_return std::unexpected(std::move(file.error()));
    if (wants_content) co_return co_await send_content(services, exchange, std::move(*file));
    const std::string body = openai::encode_file(*file);
    co_return co_await exchange.send_json(200, body);
}

asio::awaitable<Result<void>> delete_file(Services& services, Exchange& exchange) {
    const auto file = co_await find_file(services, exchange, exchange.parameter);
    if (!file) co_return std::unexpected(file.error());
    auto remove = [store = services.batch_store, tenant = exchange.caller.tenant, id = file->id]() -> Result<void> {
        std::error_code ignored;
        auto removed = store->remove_file(tenant, id, unix_now());
        if (!removed && removed.error().code == ErrorCode::kUnavailable) {
            // On a full disk its record goes when its content has made room.
            if (auto may = store->check_removable(tenant, id); !may) return may;
            std::filesystem::remove(store->file_path(id), ignored);
            removed = store->remove_file(tenant, id, unix_now());
        }
        if (!removed) return removed;
        std::filesystem::remove(store->file_path(id), ignored);
        return {};
    };
    auto removed = co_await ipc::run_blocking(services.pool, remove);
    if (!removed) co_return removed;
    const std::string body = openai::encode_deleted_file(file->id);
    co_return co_await exchange.send_json(200, body);
}

}  // namespace sutazai::http
