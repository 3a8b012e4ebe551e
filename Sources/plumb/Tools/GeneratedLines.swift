import Clickstream
import Foundation
import Glibc
import OfflineStore

/// The lines that `plumb generate` writes, of whichever kind they are.
struct GeneratedLines {
  /// Appends the next line to a buffer, and says where in it the record's key stands, empty without one; nil behind the last line.
  let next: (_ buffer: inout [UInt8]) throws -> Range<Int>?

  /// A shop's events; `clock` says their times, if they aren't the stream's own.
  static func events(_ options: ClickstreamOptions, clock: (() -> Int64)?) -> Self {
    var stream = Clickstream(options)
    return Self { buffer in
      if let clock { stream.clockMilliseconds = clock() }
      return stream.writeNext(into: &buffer).userBytes
    }
  }

  /// What a shop sells.
  static func items(_ options: ClickstreamOptions) -> Self {
    var items = ItemList(options)
    return Self { items.writeNext(into: &$0) }
  }

  /// What comes of what is shown, by the lines of a file; - is the standard input.
  static func reactions(to path: String, _ options: ClickstreamOptions) throws(TableError) -> Self {
    var audience = Audience(options)
    let lines = try ShownLines(path, options)
    var isAtEnd = false
    return Self { buffer in
      while true {
        if let line = audience.writeNext(into: &buffer, toTheEnd: isAtEnd) { return line.userBytes }
        if isAtEnd { return nil }
        if let shown = try lines.next() { audience.show(shown) } else { isAtEnd = true }
      }
    }
  }
}

/// What is shown, as NDJSON; members beyond the three are passed over.
private final class ShownLines {
  private struct Line: Decodable {
    var user_id: String
    var item_id: String
    var ts: Int64
  }

  private let path: String
  private let options: ClickstreamOptions
  private let decoder = JSONDecoder()
  private let file: UnsafeMutablePointer<FILE>
  private var memory: UnsafeMutablePointer<CChar>?
  private var capacity = 0
  private var number: Int64 = 0

  init(_ path: String, _ options: ClickstreamOptions) throws(TableError) {
    guard let file = path == "-" ? fdopen(STDIN_FILENO, "r") : fopen(path, "re") else {
      throw TableError(
        path: path, problem: "cannot be read: \(String(cString: strerror(errno)))",
        remedy: "name a file of NDJSON, or - for the standard input", isMistake: false)
    }
    self.path = path
    self.options = options
    self.file = file
  }

  deinit {
    free(memory)
    if path != "-" { fclose(file) }
  }

  /// Nil at the end.
  func next() throws(TableError) -> ShownItem? {
    while true {
      let count = getline(&memory, &capacity, file)
      guard count >= 0, let memory else {
        if ferror(file) == 0 { return nil }
        throw TableError(
          path: path, problem: "cannot be read: \(String(cString: strerror(errno)))",
          remedy: "check the file", isMistake: false)
      }
      number += 1
      let data = Data(bytes: memory, count: count)
      if data.allSatisfy({ $0 == 0x20 || (0x09...0x0D).contains($0) }) { continue }
      guard let line = try? decoder.decode(Line.self, from: data) else {
        throw mistake("is no JSON object with the texts user_id and item_id and the integer ts")
      }
      guard
        let shown = ShownItem(user: line.user_id, item: line.item_id, milliseconds: line.ts, of: options)
      else {
        throw mistake(
          "'\(line.user_id)' saw '\(line.item_id)' at \(line.ts), which isn't of this shop: its users are u1 to "
            + "u\(options.users), its items i1 to i\(options.items), times are in milliseconds")
      }
      return shown
    }
  }

  private func mistake(_ problem: String) -> TableError {
    TableError(
      path: path, line: number, problem: problem,
      remedy:
        "write what is shown like {\"user_id\": \"u1\", \"item_id\": \"i1\", \"ts\": 1767225600000}, and give --users and --items"
    )
  }
}
