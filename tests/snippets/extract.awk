# Writes every ```cpp block of a Markdown page as a program: FOLDER/PAGE_LINE.cpp (-v folder=… -v page=…), and prints its
# name. A block with main() is taken as it is. Otherwise its includes, using-lines and types come first and the rest
# becomes main().
function finish() {
  file = folder "/" page "_" start ".cpp"
  if (whole) printf "%s", body > file
  else printf "%s\nint main() {\n%s}\n", head, body > file
  close(file)
  print file
}
/^ *```cpp *$/ && !inside { inside = 1; start = NR; head = ""; body = ""; whole = 0; type = 0; next }
/^ *```/ && inside { inside = 0; if (whole) body = head body; finish(); next }
!inside { next }
/(^|[^a-z_])main\(/ { whole = 1; body = head body; head = "" }
whole { body = body $0 "\n"; next }
/^ *#include/ || /^using / { head = head $0 "\n"; next }
/^(struct|class|enum|template|namespace)[ <]/ { type = 1 }
type { head = head $0 "\n"; if (/^}/ || (/;[ ]*(\/\/.*)?$/ && !/^ / && !/{/)) type = 0; next }
{ body = body $0 "\n" }
