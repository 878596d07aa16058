#pragma once

#include "api/batch.h"
#include "base/blocking_pool.h"
#include "catalog/catalog.h"
#include "config/settings.h"
#include "models/model_manager.h"
#include "serve/foreground.h"
#include "serve/model_pages.h"
#include "serve/request_book.h"

namespace sutazai::serve {

/// What answers are made with. On the one I/O thread; outlives every request.
struct Context {
    const config::Settings& settings;
    models::AdvancedModelManager& models;
    const catalog::Catalog& catalog;
    BlockingPool& pool;
    RequestBook requests = RequestBook(settings);
    ModelCards cards = {};
    api::batch::BatchIds batch_ids = {};
    Foreground foreground = {};
};

}  // namespace sutazai::serve
