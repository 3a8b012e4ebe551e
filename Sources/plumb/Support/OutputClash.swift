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

  /// Whether two paths lead to one regular file, or would once it is made.
  private static func isSame(_ first: String, _ second: String) -> Bool {
    guard first != "-", second != "-" else { return false }
    let (a, b) = (status(first), status(second))
    if let a, let b { return a.isFile && b.isFile && a.identity == b.identity }
    guard a == nil, b == nil else { return false }
    let (x, y) = (place(first), place(second))
    guard x.name == y.name, let one = status(x.folder), let other = status(y.folder) else { return false }
    return one.identity == other.identity
  }

  private static func status(_ path: String) -> (identity: [UInt64], isFile: Bool)? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    return ([UInt64(status.st_dev), UInt64(status.st_ino)], status.st_mode & S_IFMT == S_IFREG)
  }

  private static func place(_ path: String) -> (folder: String, name: Substring) {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    let folder = parts.dropLast().joined(separator: "/")
    return (parts.count == 1 ? "." : folder.isEmpty ? "/" : folder, parts[parts.count - 1])
  }
}
