import Glibc

/// Files that a run must not be given together.
enum OutputClash {
  /// Why the paths don't go together, if they don't: an output would overwrite an input, most of all the log itself.
  static func find(inputs: [String], outputs: [String]) -> String? {
    if (inputs + outputs).contains("") { return "The name of a file is empty." }
    if inputs.count(where: { $0 == "-" }) > 1 { return "The standard input (-) can be read only once." }
    for (index, output) in outputs.enumerated() {
      if let input = inputs.first(where: { $0 != "-" && isSame($0, output) }) {
        return "'\(output)' would overwrite the input '\(input)'; write to another file."
      }
      if outputs[..<index].contains(where: { $0 == output || isSame($0, output) }) {
        return "'\(output)' can't take both the rows and the dead letters; name two files."
      }
    }
    return nil
  }

  /// Whether two paths lead to one regular file.
  private static func isSame(_ first: String, _ second: String) -> Bool {
    var (a, b) = (stat(), stat())
    guard first != "-", second != "-", stat(first, &a) == 0, stat(second, &b) == 0 else { return false }
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_mode & S_IFMT == S_IFREG
  }
}
