import Glibc

/// Why an address gave no answer.
public struct HTTPError: Error, Sendable, CustomStringConvertible {
  /// What failed, and where.
  public let description: String
}

/// A GET over HTTP/1.1, blocking: enough for the service's own metrics.
public enum HTTPGet {
  /// The longest wait for a step of it.
  static let timeoutMilliseconds = 1_000
  /// Metrics of a service take some tens of kilobytes.
  static let answerBytesMax = 16 << 20

  /// The body of the answer, if its status is 200.
  public static func body(host: String, port: Int, path: String) throws(HTTPError) -> String {
    let place = "\(host):\(port)"
    let socket = try connect(host, port, place)
    defer { close(socket) }
    let request = "GET \(path) HTTP/1.1\r\nHost: \(place)\r\nConnection: close\r\n\r\n"
    guard send(socket, request, request.utf8.count, Int32(MSG_NOSIGNAL)) == request.utf8.count else {
      throw failure("asking", place)
    }
    let answer = try receive(socket, place)
    guard let end = answer.firstRange(of: "\r\n\r\n") else {
      throw HTTPError(description: "\(place): the answer ends in its head")
    }
    let status = answer.prefix { $0 != "\r\n" }
    guard status.split(separator: " ").dropFirst().first == "200" else {
      throw HTTPError(description: "\(place)\(path): \(status)")
    }
    return String(answer[end.upperBound...])
  }

  private static func connect(_ host: String, _ port: Int, _ place: String) throws(HTTPError) -> Int32 {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var found: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, String(port), &hints, &found)
    guard code == 0 else {
      throw HTTPError(description: "\(place): \(String(cString: gai_strerror(code)))")
    }
    defer { freeaddrinfo(found) }
    var next = found
    while let address = next?.pointee {
      let socket = Glibc.socket(address.ai_family, address.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), 0)
      guard socket >= 0 else { throw failure("opening a socket", place) }
      var timeout = timeval(tv_sec: timeoutMilliseconds / 1_000, tv_usec: timeoutMilliseconds % 1_000 * 1_000)
      // On Linux the one for sending also bounds the connecting.
      for option in [SO_SNDTIMEO, SO_RCVTIMEO] {
        setsockopt(socket, SOL_SOCKET, option, &timeout, socklen_t(MemoryLayout<timeval>.size))
      }
      if Glibc.connect(socket, address.ai_addr, address.ai_addrlen) == 0 { return socket }
      let error = failure("connecting", place)
      close(socket)
      next = address.ai_next
      if next == nil { throw error }
    }
    throw HTTPError(description: "\(place): no address")
  }

  private static func receive(_ socket: Int32, _ place: String) throws(HTTPError) -> String {
    var answer: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while answer.count < answerBytesMax {
      let count = recv(socket, &piece, piece.count, 0)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw failure("reading", place) }
      if count == 0 { break }
      answer += piece[..<count]
    }
    return String(decoding: answer, as: UTF8.self)
  }

  private static func failure(_ doing: String, _ place: String) -> HTTPError {
    HTTPError(description: "\(place): \(doing): \(String(cString: strerror(errno)))")
  }
}
