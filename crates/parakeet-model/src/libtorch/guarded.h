// What shims do with libtorch's exceptions when Rust calls them: none may cross into it.

#pragma once

#include <exception>
#include <string>

// Null, or what libtorch said, which holds until this thread's next call.
using Said = const char*;

template <typename Call>
Said guarded(Call call) noexcept {
  static thread_local std::string text;
  try {
    call();
    return nullptr;
  } catch (const std::exception& why) {
    text = why.what();
  } catch (...) {
    text = "an exception without a text";
  }
  return text.c_str();
}
