#include "cli/line_editor.h"

#include <langinfo.h>
#include <unistd.h>

#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string_view>

#include "cli/terminal.h"

// libedit's functions take what the operation wants.
// NOLINTBEGIN(cppcoreguidelines-pro-type-vararg)

namespace sutazai::cli {
namespace {

namespace asio = boost::asio;

constexpr int kKeptLines = 1000;
/// What the line consists of when ctrl-D was typed into an empty one.
constexpr char kControlD = 4;

char* prompt_of(EditLine* editor) {
    void* data = nullptr;
    el_get(editor, EL_CLIENTDATA, &data);
    return static_cast<std::string*>(data)->data();
}

/// libedit's wide characters are those of the locale.
void use_utf8() {
    std::setlocale(LC_CTYPE, "");  // NOLINT(concurrency-mt-unsafe): no other thread of `run` asks for the locale
    if (std::string_view(nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");  // NOLINT: as above
}

/// Takes the terminal's keys one by one while it lives.
class Typing {
  public:
    explicit Typing(EditLine* editor) : editor_(editor) { el_set(editor_, EL_UNBUFFERED, 1); }
    ~Typing() {
        el_reset(editor_);
        el_set(editor_, EL_UNBUFFERED, 0);
    }
    Typing(const Typing&) = delete;
    Typing& operator=(const Typing&) = delete;

  private:
    EditLine* editor_;
};

}  // namespace

LineEditor::LineEditor(const asio::any_io_executor& executor) : watch_(executor, readiness_of(STDIN_FILENO)) {
    use_utf8();
    history_.reset(history_init());
    editor_.reset(el_init("sutazai", stdin, stdout, stderr));
    if (!history_ || !editor_) throw std::bad_alloc();
    HistEvent event{};
    history(history_.get(), &event, H_SETSIZE, kKeptLines);
    history(history_.get(), &event, H_SETUNIQUE, 1);
    el_set(editor_.get(), EL_CLIENTDATA, &prompt_);
    el_set(editor_.get(), EL_PROMPT, &prompt_of);
    el_set(editor_.get(), EL_EDITOR, "emacs");
    el_set(editor_.get(), EL_HIST, &history, history_.get());
}

bool LineEditor::is_possible() {
    const char* const terminal = std::getenv("TERM");  // NOLINT(concurrency-mt-unsafe): nobody sets it
    return isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1 && terminal != nullptr &&
           std::string_view(terminal) != "dumb" && !std::string_view(terminal).empty();
}

asio::awaitable<std::optional<std::string>> LineEditor::next(std::string prompt) {
    prompt_ = std::move(prompt);
    const Typing typing(editor_.get());
    for (;;) {
        co_await watch_.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
        int length = 0;
        const char* const typed = el_gets(editor_.get(), &length);
        if (typed == nullptr && length < 0 && errno == EINTR) continue;
        if (typed == nullptr || length < 0) co_return std::nullopt;
        const std::string_view line(typed, static_cast<std::size_t>(length));
        if (line.size() == 1 && line.front() == kControlD) co_return std::nullopt;
        if (!line.ends_with('\n')) continue;
        if (line.size() > 1) {
            HistEvent event{};
            history(history_.get(), &event, H_ENTER, std::string(line).c_str());
        }
        co_return std::string(line.substr(0, line.size() - 1));
    }
}

}  // namespace sutazai::cli

// NOLINTEND(cppcoreguidelines-pro-type-vararg)
