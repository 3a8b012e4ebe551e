import FeatureCore

/// The elements of a file that is one JSON array, as events: each is an object, which whoever decodes it finds out.
///
/// Memory is bounded by a block and a longest record. One owner, one thread.
public final class ArrayReader {
  private enum Place {
    case beforeArray, inElement, behindArray
  }

  private var source: ByteSource
  private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 64)
  private var position = 0
  private var end = 0
  private var place = Place.beforeArray
  /// Inside an element: levels, and whether it is in a string, behind a backslash, and more than white space.
  private var depth = 0
  private var isInString = false
  private var isEscaped = false
  private var hasValue = false
  private var count: Int64 = 0
  private var buffer = LineBuffer()
  /// An error that waits until the whole elements before it have been delivered.
  private var pendingError: EventFileError?

  /// The elements of a file that has been opened.
  public init(_ source: consuming ByteSource) { self.source = source }

  deinit { input.deallocate() }

  /// Bytes of the file used up so far (compressed, if it is).
  public var bytesRead: Int64 { source.bytesConsumed }

  /// Calls with the next elements, at least one, numbered from 1; false behind the last.
  public func next(_ body: (LineBlock) throws -> Void) throws -> Bool {
    buffer.removeAll()
    if pendingError == nil {
      do throws(EventFileError) {
        while !buffer.isFull, try hasByte() { try scan() }
        if !buffer.isFull, place != .behindArray {
          throw problem("ends inside its array", "copy or write the file again")
        }
      } catch {
        pendingError = error
      }
    }
    return try buffer.deliver(before: pendingError, body)
  }

  private func hasByte() throws(EventFileError) -> Bool {
    if position < end { return true }
    end = try source.read(into: input)
    position = 0
    return end > 0
  }

  /// Takes bytes of the input up to its end or that of an element.
  private func scan() throws(EventFileError) {
    guard place == .inElement else { return try scanAround() }
    let start = position
    while position < end {
      let byte = input[position]
      if isInString {
        if isEscaped {
          isEscaped = false
        } else if byte == UInt8(ascii: "\\") {
          isEscaped = true
        } else if byte == UInt8(ascii: "\"") {
          isInString = false
        }
      } else {
        switch byte {
        case UInt8(ascii: "\""): isInString = true
        case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
        case UInt8(ascii: "}"), UInt8(ascii: "]"), UInt8(ascii: ","):
          if depth == 0 { return try endElement(from: start, byte) }
          if byte != UInt8(ascii: ",") { depth -= 1 }
        default: break
        }
      }
      if !hasValue { hasValue = !FileContent.isSpace(byte) }
      position += 1
    }
    take(from: start)
  }

  /// Ends an element at the byte behind it.
  private func endElement(from start: Int, _ byte: UInt8) throws(EventFileError) {
    take(from: start)
    position += 1
    let isLast = byte == UInt8(ascii: "]")
    guard byte != UInt8(ascii: "}"), hasValue || (isLast && count == 0) else {
      buffer.dropOpen()
      throw problem("has no value where element \(count + 1) of its array must stand", "correct it there")
    }
    if hasValue {
      count += 1
      buffer.endEvent(number: count)
    }
    hasValue = false
    if isLast { place = .behindArray }
  }

  private func take(from start: Int) {
    // An element of any length takes no more memory than the longest record.
    guard hasValue, buffer.openBytes <= Limits.recordBytesMax else { return }
    buffer.bytes.append(contentsOf: input[start..<position])
  }

  private func scanAround() throws(EventFileError) {
    let byte = input[position]
    position += 1
    if FileContent.isSpace(byte) { return }
    // The byte order mark.
    if place == .beforeArray, [0xEF, 0xBB, 0xBF].contains(byte) { return }
    guard place == .beforeArray, byte == UInt8(ascii: "[") else {
      throw problem(
        "has something behind its array",
        "write one array, or one object a line without brackets around them")
    }
    place = .inElement
  }

  private func problem(_ problem: String, _ remedy: String) -> EventFileError {
    EventFileError(path: source.path, problem: problem, remedy: remedy)
  }
}
