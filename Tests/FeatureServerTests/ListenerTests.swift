import Foundation
import HTTPListener
import Synchronization
import Testing

/// A client that says exactly what a test wants.
final class RawClient {
  private let socket: Int32

  init(_ port: Int) throws {
    socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var timeout = timeval(tv_sec: 20, tv_usec: 0)
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    let status = withUnsafeBytes(of: &address) {
      connect(socket, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
    }
    try #require(status == 0)
  }

  deinit { close(socket) }

  /// False once the server has closed the connection.
  @discardableResult
  func send(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    return Glibc.send(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
  }

  /// What comes until the server closes, or until some text has come.
  func receive(until end: String? = nil) -> String {
    var answer: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      if let end, String(decoding: answer, as: UTF8.self).contains(end) { break }
      let count = read(socket, &buffer, buffer.count)
      guard count > 0 else { break }
      answer += buffer[..<count]
    }
    return String(decoding: answer, as: UTF8.self)
  }
}

/// Nothing that a client sends, or doesn't, takes more than its share.
@Suite struct ListenerTests {
  private func listener(
    connections: Int = 64, change: (inout HTTPLimits) -> Void = { _ in },
    responder: @escaping HTTPListener.Responder = { request, answer in
      answer(.text(200, "\(request.method) \(request.path) \(request.body.count)\n"))
    }
  ) throws -> HTTPListener {
    var limits = HTTPLimits(connectionsMax: connections, bodyBytesMax: 1_000)
    change(&limits)
    return try HTTPListener(host: "127.0.0.1", port: 0, limits, responder: responder)
  }

  private func get(_ port: Int, _ path: String = "/x") throws -> String {
    let client = try RawClient(port)
    client.send("GET \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    return client.receive()
  }

  @Test func answersRequestsOneAfterTheOther() throws {
    let listener = try listener()
    defer { listener.stop(milliseconds: 0) }
    let client = try RawClient(listener.port)
    client.send("POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
    #expect(client.receive(until: "POST /a 3").hasPrefix("HTTP/1.1 200"))
    // Three at once, the second chunked, the last closing.
    client.send(
      "GET /b HTTP/1.1\r\nHost: x\r\n\r\nPOST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        + "2\r\nab\r\n2\r\ncd\r\n0\r\n\r\nGET /d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    let rest = client.receive()
    let places = ["GET /b 0", "POST /c 4", "GET /d 0"].map { rest.firstRange(of: $0)?.lowerBound }
    #expect(places.allSatisfy { $0 != nil } && places[0]! < places[1]! && places[1]! < places[2]!)
  }

  @Test func headHasNoBody() throws {
    let listener = try listener()
    defer { listener.stop(milliseconds: 0) }
    let client = try RawClient(listener.port)
    client.send("HEAD /x HTTP/1.1\r\nHost: x\r\n\r\nGET /y HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    let answer = client.receive()
    #expect(
      !answer.contains("HEAD /x") && answer.contains("content-length: 10\r\n") && answer.contains("GET /y 0"))
  }

  @Test(arguments: [
    ("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n", "413"),
    ("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", "4"),
    ("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "400"),
    ("GET /x HTTP/1.1\r\nHost: x\r\nBig: \(String(repeating: "a", count: 20_000))\r\n\r\n", "4"),
    ("GET\r\n\r\n", "400"), ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\r\n\r\n", "400"),
    ("POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400"),
  ]) func nonsenseIsRefused(_ text: String, _ status: String) throws {
    let listener = try listener()
    defer { listener.stop(milliseconds: 0) }
    let client = try RawClient(listener.port)
    client.send(text)
    let answer = client.receive()
    #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 \(status)"), "\(answer.prefix(100))")
    // Problem details have all that the OpenAPI document says.
    let isProblem = answer.contains("application/problem+json")
    #expect(
      !isProblem || answer.hasPrefix("HTTP/1.1 400")
        || ["\"type\":", "\"title\":", "\"status\":\(status)", "\"detail\":"].allSatisfy(answer.contains),
      "\(answer)")
    #expect(try get(listener.port).hasPrefix("HTTP/1.1 200"))
  }

  @Test func aChunkedBodyIsBoundedToo() throws {
    let listener = try listener()
    defer { listener.stop(milliseconds: 0) }
    let client = try RawClient(listener.port)
    client.send("POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    let chunk = "100\r\n\(String(repeating: "a", count: 256))\r\n"
    for _ in 0..<5 { client.send(chunk) }
    client.send("0\r\n\r\n")
    #expect(client.receive().hasPrefix("HTTP/1.1 413"))
  }

  /// Who says nothing, or never ends, is closed; who holds all connections isn't served more, and others are soon.
  @Test func silentClientsMakeRoom() throws {
    let listener = try listener(connections: 16) {
      $0.readSeconds = 1
      $0.idleSeconds = 1
    }
    defer { listener.stop(milliseconds: 0) }
    let silent = try (0..<16).map { index in
      let client = try RawClient(listener.port)
      if index % 4 == 1 { client.send("GET /x HTTP/1.1\r\nHo") }
      if index % 4 == 2 { client.send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc") }
      if index % 4 == 3 { client.send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n") }
      return client
    }
    while listener.connectionCount < 16 { usleep(1_000) }
    let refused = try get(listener.port)
    #expect(refused.hasPrefix("HTTP/1.1 503") && refused.contains("retry-after: 1"))
    for client in silent { _ = client.receive() }
    var served = false
    for _ in 0..<1_000 where !served {
      served = try get(listener.port).hasPrefix("HTTP/1.1 200")
    }
    #expect(served)
  }

  /// A client that asks and asks and takes no answer makes no queue, and goes.
  @Test func answersThatNobodyTakesArePutNowhere() throws {
    let asked = Atomic(0)
    let large = [UInt8](repeating: 65, count: 4 << 20)
    let listener = try listener {
      $0.writeSeconds = 1
    } responder: { _, answer in
      asked.add(1, ordering: .relaxed)
      answer(HTTPAnswer(200, "text/plain", large))
    }
    defer { listener.stop(milliseconds: 0) }
    let client = try RawClient(listener.port)
    client.send(String(repeating: "GET /x HTTP/1.1\r\nHost: x\r\n\r\n", count: 500))
    while asked.load(ordering: .relaxed) == 0 || listener.connectionCount > 0 { usleep(1_000) }
    #expect(asked.load(ordering: .relaxed) <= 3)
  }

  /// All bodies together are bounded.
  @Test func bodiesShareABudget() throws {
    let listener = try listener { $0.bodiesBytesMax = 1_500 }
    defer { listener.stop(milliseconds: 0) }
    let text = "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    let first = try RawClient(listener.port)
    first.send(text + String(repeating: "a", count: 900))
    var status = ""
    // Until the first has come in.
    for _ in 0..<1_000 where !status.hasPrefix("HTTP/1.1 503") {
      let second = try RawClient(listener.port)
      second.send(text + String(repeating: "b", count: 1_000))
      status = second.receive(until: "\r\n\r\n")
    }
    #expect(status.hasPrefix("HTTP/1.1 503"))
    first.send(String(repeating: "a", count: 100))
    #expect(first.receive(until: "1000\n").hasPrefix("HTTP/1.1 200"))
  }

  /// What is under way is answered, and then nothing is open.
  @Test func stoppingAnswersWhatIsUnderWay() throws {
    let waiting = Mutex<[@Sendable (HTTPAnswer) -> Void]>([])
    let listener = try listener(responder: { _, answer in waiting.withLock { $0.append(answer) } })
    let (idle, busy) = (try RawClient(listener.port), try RawClient(listener.port))
    busy.send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
    while waiting.withLock({ $0.isEmpty }) || listener.connectionCount < 2 { usleep(1_000) }
    let stopped = DispatchSemaphore(value: 0)
    Thread.detachNewThread {
      listener.stop(milliseconds: 20_000)
      stopped.signal()
    }
    #expect(idle.receive() == "")
    waiting.withLock { $0[0](.text(200, "late\n")) }
    let answer = busy.receive()
    #expect(answer.contains("connection: close") && answer.hasSuffix("late\n"))
    stopped.wait()
    #expect(listener.connectionCount == 0)
  }
}
