#include "explain_text.hpp"

#include <attend/inspect/explain_example.hpp>

#include <algorithm>
#include <cmath>

namespace attend::cli {
namespace {

std::span<const double> row_of(const Matrix& matrix, int64_t row) {
  return std::span(matrix.values)
      .subspan(static_cast<size_t>(row * matrix.columns), static_cast<size_t>(matrix.columns));
}

/// a1·b1 + a2·b2 + …
std::string sum_of_products(std::span<const double> a, std::span<const double> b) {
  std::string text;
  for (size_t i = 0; i < a.size(); ++i) text += fmt::format("{}{}·{}", i ? " + " : "", number(a[i]), number(b[i]));
  return text;
}

void tell_matrix(const Teller& teller, std::string_view title, const std::vector<std::string>& labels,
                 const Matrix& matrix) {
  int width = 1;
  for (const double value : matrix.values) width = std::max(width, display_width(number(value)));
  const int margin = widest(labels);
  teller.line(fmt::format("  {}", title));
  for (int64_t i = 0; i < matrix.rows; ++i) {
    std::string line = "    " + fitted(labels[static_cast<size_t>(i)], margin);
    for (const double value : row_of(matrix, i)) line += fmt::format("  {:>{}}", number(value), width);
    teller.line(line);
  }
}

/// result_i = Σ_d x_d·W(d, i), line by line.
void tell_product(const Teller& teller, char name, std::span<const double> x, const Matrix& columns,
                  std::span<const double> result) {
  for (size_t i = 0; i < result.size(); ++i)
    teller.line(fmt::format("    {}{} = {} = {}", name, i + 1,
                            sum_of_products(x, row_of(columns, static_cast<int64_t>(i))), number(result[i])));
  teller.line(fmt::format("    {} = {}", name, numbers(result)));
}

void tell_notes_remark(const Teller& teller, const ProjectionExample& example) {
  const Matrix column = transposed(example.x), v = multiply(example.w_v, column);
  teller.say(
      {"\n  Row or column? x stands before the matrix here: a row vector, x·W, as in the paper. So v = {}.",
       "\n  행 벡터일까, 열 벡터일까? 여기서 x는 행렬 앞에 옵니다. 논문처럼 행 벡터 x·W이고, 그래서 v = {}입니다."},
      numbers(row_of(multiply(example.x, example.w_v), 0)));
  teller.say({"  The study notes print v = {}: that is W_V·x, with x as a column vector behind the matrix:",
              "  학습 노트에는 v = {}로 나옵니다. x를 행렬 뒤에 세운 열 벡터, 곧 W_V·x의 값입니다."},
             numbers(std::span<const double>(v.values)));
  for (int64_t i = 0; i < v.rows; ++i)
    teller.line(fmt::format("    v{} = {} = {}", i + 1, sum_of_products(row_of(example.w_v, i), column.values),
                            number(v(i, 0))));
  teller.say({"  Both are right, each by its own rule; W·x equals x·Wᵀ. The notes' q = {} is x·W_Q, a row;\n"
              "  W_Q·x would be {}. What matters is to keep to one rule, and this program keeps to x·W.",
              "  둘 다 각자의 규칙으로는 맞고, W·x는 x·Wᵀ와 같습니다. 노트의 q = {}는 행 벡터 규칙 x·W_Q의 값이고,\n"
              "  W_Q·x의 값은 {}입니다. 중요한 것은 한 가지 규칙을 지키는 것이며, 이 프로그램은 x·W를 씁니다."},
             numbers(row_of(multiply(example.x, example.w_q), 0)),
             numbers(std::span<const double>(multiply(example.w_q, column).values)));
}

}  // namespace

std::string number(double value) {
  if (value != 0 && (std::abs(value) >= 1e7 || std::abs(value) < 5e-5)) return fmt::format("{:.2g}", value);
  std::string text = fmt::format("{:.4f}", value);
  if (text.find('.') != std::string::npos) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
  }
  return text == "-0" ? "0" : text;
}

std::string bar(double weight, Colors colors) {
  constexpr int columns = 30, eighths = 8;
  const int length =
      static_cast<int>(std::lround(std::clamp(std::isnan(weight) ? 0 : weight, 0.0, 1.0) * columns * eighths));
  if (colors != Colors::none) {
    const std::string cells(static_cast<size_t>((length + eighths - 1) / eighths), ' ');
    // The root shows small weights too.
    return fmt::format("{}{}{}", heat(colors, static_cast<float>(std::sqrt(weight))), cells, end_of_color(colors));
  }
  constexpr std::string_view parts[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  std::string text;
  for (int i = 0; i < length / eighths; ++i) text += "█";
  return text.append(parts[length % eighths]);
}

int widest(const std::vector<std::string>& labels) {
  int width = 0;
  for (const std::string& label : labels) width = std::max(width, display_width(label));
  return width;
}

void tell_projection(const Teller& teller, const ProjectionExample& example, bool notes) {
  const AttentionSteps steps = example.attention();
  teller.say({"1. A word's vector becomes a query, a key and a value",
              "1. 단어 벡터가 쿼리(query), 키(key), 값(value)이 됩니다"});
  teller.say(
      {"  Three learned matrices make three vectors of a word's vector x: q, what the word looks for; k, what it\n"
       "  can be found by; v, what it passes on to those who find it.",
       "  학습된 행렬 세 개가 단어 벡터 x에서 세 벡터를 만듭니다. q는 그 단어가 찾는 것, k는 그 단어가 찾아지는\n"
       "  실마리, v는 찾아낸 단어에게 건네는 내용입니다."});
  for (int64_t i = 0; i < example.x.rows; ++i) {
    const std::string x = example.x.rows == 1 ? "x" : fmt::format("x{}", i + 1);
    teller.line(fmt::format("\n  {} = {}", x, numbers(row_of(example.x, i))));
    for (const auto& [name, matrix, result] :
         {std::tuple{'Q', &example.w_q, &steps.q}, {'K', &example.w_k, &steps.k}, {'V', &example.w_v, &steps.v}}) {
      const auto small = static_cast<char>(name - 'A' + 'a');
      const std::vector<std::string> labels(static_cast<size_t>(matrix->rows));
      teller.line("");
      tell_matrix(teller, fmt::format("{} = {}·W_{},  W_{} =", small, x, name, name), labels, *matrix);
      tell_product(teller, small, row_of(example.x, i), transposed(*matrix), row_of(*result, i));
      if (notes && name == 'K')
        teller.say({"    W_K is the identity matrix, so k is x itself.", "    W_K는 단위행렬이라 k는 x 그대로입니다."});
    }
  }
  if (notes) tell_notes_remark(teller, example);
}

void tell_attention(const Teller& teller, const std::vector<std::string>& words, const AttentionSteps& steps) {
  const int64_t last = steps.q.rows - 1, width = steps.q.columns;
  const int margin = widest(words);
  const auto label = [&](int64_t word) { return fitted(words[static_cast<size_t>(word)], margin); };
  const std::string& name = words[static_cast<size_t>(last)];
  for (int64_t i = 0; i <= last; ++i)
    teller.line(fmt::format("    {}  q = {}   k = {}   v = {}", label(i), numbers(row_of(steps.q, i)),
                            numbers(row_of(steps.k, i)), numbers(row_of(steps.v, i))));
  teller.say({"\n  What does {} look at?", "\n  {}: 어느 단어를 볼까요?"}, name);
  teller.say({"\n  Step 1, scores: its q times every k. The better they fit, the larger the number.",
              "\n  1단계, 점수: 이 단어의 q와 모든 k의 내적. 서로 잘 맞을수록 큰 수가 나옵니다."});
  for (int64_t j = 0; j <= last; ++j)
    teller.line(fmt::format("    {}  q·k = {} = {}", label(j),
                            sum_of_products(row_of(steps.q, last), row_of(steps.k, j)),
                            number(steps.products(last, j))));
  const double root = std::sqrt(static_cast<double>(width));
  teller.say(
      {"\n  Step 2, scaling: divided by √dₖ = √{} = {}, so that long vectors do not make the softmax too sharp.",
       "\n  2단계, 크기 맞추기: √dₖ = √{} = {}로 나눕니다. 벡터가 길어도 소프트맥스가 지나치게 쏠리지 않게 합니다."},
      width, number(root));
  for (int64_t j = 0; j <= last; ++j)
    teller.line(fmt::format("    {}  {} ÷ {} = {}", label(j), number(steps.products(last, j)), number(root),
                            number(steps.scores(last, j))));
  teller.say({"\n  Step 3, softmax: e to the power of each score, divided by their sum. The weights add up to 1.",
              "\n  3단계, 소프트맥스: e의 점수 제곱을 그 합으로 나눕니다. 가중치의 합은 1입니다."});
  const auto scores = row_of(steps.scores, last), weights = row_of(steps.weights, last);
  // e to a large score fits no line, nor a double: the softmax of scores less their largest is the same.
  const double largest = *std::max_element(scores.begin(), scores.end()), shift = largest > 12 ? largest : 0;
  if (shift != 0)
    teller.say({"    (The largest, {}, is taken off every score first: the softmax stays the same.)",
                "    (먼저 모든 점수에서 가장 큰 점수를 뺍니다: {}. 소프트맥스는 그대로입니다.)"},
               number(shift));
  double sum = 0;
  for (const double score : scores) sum += std::exp(score - shift);
  for (size_t j = 0; j < scores.size(); ++j)
    teller.line(fmt::format("    {}  e^{} = {}", label(static_cast<int64_t>(j)), number(scores[j] - shift),
                            number(std::exp(scores[j] - shift))));
  teller.say({"    sum = {}", "    합 = {}"}, number(sum));
  for (size_t j = 0; j < scores.size(); ++j)
    teller.line(fmt::format("    {}  {} ÷ {} = {:<8} {}", label(static_cast<int64_t>(j)),
                            number(std::exp(scores[j] - shift)), number(sum), number(weights[j]),
                            bar(weights[j], teller.colors)));
  teller.say({"\n  Step 4, weighted sum: every word's v, as much of it as its weight says.",
              "\n  4단계, 가중합: 모든 단어의 v를 가중치만큼 섞습니다."});
  const Matrix values = transposed(steps.v);
  for (int64_t d = 0; d < steps.v.columns; ++d)
    teller.line(fmt::format("    out{} = {} = {}", d + 1, sum_of_products(weights, row_of(values, d)),
                            number(steps.out(last, d))));
  teller.say({"    {} leaves the attention as {}: its surroundings are in it now.",
              "    {}: 어텐션을 거친 벡터는 {}입니다. 이제 주변 단어의 내용이 섞여 있습니다."},
             name, numbers(row_of(steps.out, last)));
  teller.say({"\n  All words at once are the same four steps with matrices (a row for each word that looks):",
              "\n  모든 단어를 한꺼번에 계산하면 같은 네 단계가 행렬이 됩니다(보는 단어마다 한 줄):"});
  tell_matrix(teller, "QKᵀ", words, steps.products);
  tell_matrix(teller, "QKᵀ/√dₖ", words, steps.scores);
  tell_matrix(teller, "softmax(QKᵀ/√dₖ)", words, steps.weights);
  tell_matrix(teller, "softmax(QKᵀ/√dₖ)·V", words, steps.out);
}

}  // namespace attend::cli
