// Keeps C++ exceptions out of Rust: unwinding across the language border is undefined behaviour.

#pragma once

#include <exception>
#include <string>

// Null if the call succeeded, otherwise libtorch's error text. The text stays valid until this thread's next
// call of a shim; shim_error.rs copies it at once.
using ErrorText = const char*;

// Runs `call` and turns an exception into its text.
template <typename Call>
ErrorText guarded(Call call) noexcept {
  static thread_local std::string text;
  try {
    call();
    return nullptr;
  } catch (const std::exception& error) {
    text = error.what();
  } catch (...) {
    text = "an exception without a text";
  }
  return text.c_str();
}
