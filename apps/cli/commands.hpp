// The commands, one source each. A new one is declared here and listed in main.cpp.
#pragma once

#include "command.hpp"

namespace attend::cli {

Command translate_command();
Command evaluate_command();
Command tokenize_command();
Command forward_command();
Command convert_command();
Command doctor_command();
Command bench_command();
Command train_command();
Command tokenizer_train_command();
Command explain_command();

}  // namespace attend::cli
