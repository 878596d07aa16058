#include <gtest/gtest.h>

#include "http/page_files.h"
#include "http/testing/test_server.h"

namespace sutazai::http {
namespace {

constexpr std::string_view kBrowser = "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\n";

struct PageRoutes : ServedTest {
    void SetUp() override {
        ServedTest::SetUp();
        add_models({"m"});
        settings_.api_keys = {"secret"};
        start();
    }
    Response get(std::string_view path, std::string headers = {}) { return ask("GET", path, {}, headers); }
};

TEST_F(PageRoutes, TheRootIsThePageForBrowsersAndOllamasWordsForOthers) {
    const Response page = get("/", std::string(kBrowser));
    EXPECT_EQ(page.status, 200);
    EXPECT_EQ(page.headers.at("content-type"), "text/html; charset=utf-8");
    EXPECT_TRUE(page.body.starts_with("<!doctype html>"));
    EXPECT_TRUE(page.headers.at("content-security-policy").starts_with("default-src 'none'; script-src 'self';"));
    EXPECT_EQ(page.body.find("=\"/"), std::string::npos) << "a path that no prefix can stand before";
    for (const std::string accept : {"", "Accept: */*\r\n", "Accept: application/json, text/html;q=0\r\n"}) {
        EXPECT_EQ(get("/", accept).body, "Ollama is running") << accept;
    }
}

TEST_F(PageRoutes, FilesAreCompressedForWhoTakesThat) {
    for (const PageFile& file : page_files()) {
        const std::string path = "/page/" + std::string(file.name);
        const Response plain = get(path);
        EXPECT_EQ(plain.status, 200);
        EXPECT_EQ(plain.body.size(), file.bytes);
        EXPECT_FALSE(plain.headers.contains("content-encoding"));
        const Response packed = get(path, "Accept-Encoding: br, gzip\r\n");
        EXPECT_EQ(packed.headers.at("content-encoding"), "gzip");
        EXPECT_EQ(packed.body, file.gzip);
        EXPECT_EQ(packed.headers.at("content-type"), plain.headers.at("content-type"));
    }
    EXPECT_FALSE(get("/page/app.js", "Accept-Encoding: gzip;q=0\r\n").headers.contains("content-encoding"));
}

TEST_F(PageRoutes, AFileIsKeptByItsDigest) {
    const Response named = get("/page/app.js");
    EXPECT_EQ(named.headers.at("cache-control"), "no-cache");
    const std::string etag = named.headers.at("etag");
    const std::string by_digest = "/page/app.js?" + etag.substr(1, etag.size() - 2);
    EXPECT_EQ(get(by_digest).headers.at("cache-control"), "max-age=31536000, immutable");
    EXPECT_NE(get("/", std::string(kBrowser)).body.find(by_digest.substr(1)), std::string::npos);
    const Response same = get("/page/app.js", "If-None-Match: \"other\", " + etag + "\r\n");
    EXPECT_EQ(same.status, 304);
    EXPECT_TRUE(same.body.empty());
}

TEST_F(PageRoutes, ThereAreNoOtherFiles) {
    for (const char* path : {"/page/index", "/page/../index.html", "/page/%2e%2e/app.js"}) {
        EXPECT_EQ(get(path).status, 404) << path;
    }
}

}  // namespace
}  // namespace sutazai::http
