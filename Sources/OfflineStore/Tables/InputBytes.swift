import EventFiles
import Glibc

/// The uncompressed bytes of a file through a buffer, one after the other.
struct InputBytes: ~Copyable {
  private static let bufferBytes = 1 << 18

  let path: String
  private var source: ByteSource
  let buffer: UnsafeMutableRawBufferPointer
  /// `[position, end)` of the buffer has been read from the file and not been used.
  var position = 0
  private(set) var end = 0

  /// Opens a file; `-` is the standard input.
  init(path: String, bufferBytes: Int = Self.bufferBytes) throws(TableError) {
    self.path = path
    do throws(EventFileError) {
      source = try ByteSource(path: path, inputBytes: bufferBytes)
    } catch {
      throw TableError(error)
    }
    buffer = .allocate(byteCount: bufferBytes, alignment: 64)
  }

  /// The bytes of a file that has been opened.
  init(_ source: consuming ByteSource) {
    path = source.path
    self.source = source
    buffer = .allocate(byteCount: Self.bufferBytes, alignment: 64)
  }

  deinit { buffer.deallocate() }

  /// Bytes of the file used up so far (compressed, if it is).
  var bytesRead: Int64 { source.bytesConsumed }

  /// Whether there is another byte: `buffer[position]`.
  @inline(__always)
  mutating func hasByte() throws(TableError) -> Bool {
    if position < end { return true }
    return try refill()
  }

  private mutating func refill() throws(TableError) -> Bool {
    do throws(EventFileError) {
      end = try source.read(into: buffer)
    } catch {
      throw TableError(error)
    }
    position = 0
    return end > 0
  }
}

extension TableError {
  /// A file that cannot be read as a table, since it cannot be read at all.
  init(_ error: EventFileError) {
    self.init(
      path: error.path, problem: error.problem, remedy: error.remedy, isMistake: error.isMistake)
  }
}

/// The system's words for an error number.
func systemText(_ code: Int32) -> String { String(cString: strerror(code)) }
