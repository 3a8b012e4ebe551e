import FeatureCore
import Glibc

/// The folder of an export: `<table>/date=<yyyy-mm-dd>/<topic>-<partition>-<first>-<last>.parquet`, where a table is
/// `view=<view>` or `service=<service>`.
struct ExportFolder {
  let path: String
  let topic: String

  /// Where the file of a segment is, below the folder.
  func file(table: String, milliseconds: Int64, partition: Int32, first: Int64, last: Int64) -> String {
    let date = RFC3339.format(EventTime(microseconds: milliseconds * 1_000)).prefix { $0 != "T" }
    return
      "\(table)/date=\(date)/\(topic)-\(partition)-\(Self.padded(first))-\(Self.padded(last)).parquet"
  }

  /// A view's files that the manifest lists, below the folder: those of a partition in the order of the log.
  func files(view: String, isListed: (_ partition: Int32, _ first: Int64) -> Bool) -> [String] {
    var files: [(partition: Int32, first: Int64, path: String)] = []
    for date in names("\(path)/view=\(view)") where date.hasPrefix("date=") {
      for name in names("\(path)/view=\(view)/\(date)") {
        guard let file = parse(name), !file.isPartial, isListed(file.partition, file.first) else { continue }
        files.append((file.partition, file.first, "view=\(view)/\(date)/\(name)"))
      }
    }
    return files.sorted { ($0.partition, $0.first) < ($1.partition, $1.first) }.map(\.path)
  }

  /// Makes the folders above a file.
  func makeFolders(of file: String) throws(TableError) {
    var made = path
    try make(made)
    for part in file.split(separator: "/").dropLast() {
      made += "/\(part)"
      try make(made)
    }
  }

  /// After a crash of the machine, too, the names in a file's folders are there.
  func synchronize(_ file: String) throws(TableError) {
    var folder = "\(path)/\(file)"
    for _ in 0..<3 {
      folder = String(folder[..<(folder.lastIndex(of: "/") ?? folder.startIndex)])
      let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      defer { if descriptor >= 0 { _ = close(descriptor) } }
      guard descriptor >= 0, fsync(descriptor) == 0 else {
        throw TableError(
          path: folder, problem: "cannot be synchronized: \(systemText(errno))", remedy: "check the disk",
          isMistake: false)
      }
    }
  }

  /// Removes what a crash has left: files that were never completed, and those of segments that the manifest doesn't
  /// list. Returns how many.
  func removeUnlisted(isListed: (_ partition: Int32, _ first: Int64) -> Bool) throws(TableError) -> Int {
    var removed = 0
    for table in names(path) where table.hasPrefix("view=") || table.hasPrefix("service=") {
      for date in names("\(path)/\(table)") where date.hasPrefix("date=") {
        let folder = "\(path)/\(table)/\(date)"
        for name in names(folder) {
          guard let file = parse(name), file.isPartial || !isListed(file.partition, file.first) else {
            continue
          }
          guard unlink("\(folder)/\(name)") == 0 else {
            throw TableError(
              path: "\(folder)/\(name)",
              problem: "is left from a crash and cannot be removed: \(systemText(errno))",
              remedy: "remove it", isMistake: false)
          }
          removed += 1
        }
      }
    }
    return removed
  }

  /// A file of this topic by its name; hidden ones are in the making.
  private func parse(_ name: String) -> (partition: Int32, first: Int64, isPartial: Bool)? {
    let isPartial = name.hasPrefix(".") && name.hasSuffix(".partial")
    let visible = isPartial ? String(name.dropFirst()) : name
    guard visible.hasPrefix("\(topic)-"), visible.contains(".parquet") else { return nil }
    let parts = visible.dropFirst(topic.utf8.count + 1).split(separator: "-")
    guard parts.count == 3, let partition = Int32(parts[0]), let first = Int64(parts[1]) else { return nil }
    return (partition, first, isPartial)
  }

  private func make(_ folder: String) throws(TableError) {
    guard mkdir(folder, 0o777) != 0, errno != EEXIST else { return }
    throw TableError(
      path: folder, problem: "cannot be made: \(systemText(errno))",
      remedy: "check that the folder above exists and is writable", isMistake: false)
  }

  private func names(_ folder: String) -> [String] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      names.append(name)
    }
    return names.sorted()
  }

  /// So that names in order are offsets in order.
  private static func padded(_ offset: Int64) -> String {
    let digits = String(offset)
    return String(repeating: "0", count: max(0, 16 - digits.utf8.count)) + digits
  }
}
