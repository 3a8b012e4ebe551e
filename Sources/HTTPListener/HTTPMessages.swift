import NIOCore
import NIOHTTP1

/// A whole request.
public struct HTTPRequest: Sendable {
  /// The method, such as GET.
  public let method: String
  /// The path, without a query, as it was sent.
  public let path: String
  /// The body.
  public let body: [UInt8]
  private let headers: HTTPHeaders
  private let loop: any EventLoop

  init(_ head: HTTPRequestHead, _ body: [UInt8], _ loop: any EventLoop) {
    self.loop = loop
    method = head.method.rawValue
    path = String(head.uri.prefix { $0 != "?" && $0 != "#" })
    headers = head.headers
    self.body = body
  }

  /// Calls, on the request's event loop, when the other requests that have come meanwhile have been read too.
  public func whenOthersAreRead(_ body: @escaping @Sendable () -> Void) { loop.execute(body) }

  /// The first value of a header, whose name is in any case.
  public func header(_ name: String) -> String? { headers.first(name: name) }
}

/// An answer, or what stands for one.
public struct HTTPAnswer: Sendable {
  /// The status' number.
  public var status: Int
  /// What the body is.
  public var contentType: String
  /// The body.
  public var body: [UInt8]
  /// More headers.
  public var headers: [(name: String, value: String)]

  /// An answer from its parts.
  public init(
    _ status: Int, _ contentType: String, _ body: [UInt8], headers: [(name: String, value: String)] = []
  ) {
    self.status = status
    self.contentType = contentType
    self.body = body
    self.headers = headers
  }

  /// An answer for people.
  public static func text(_ status: Int, _ text: String) -> HTTPAnswer {
    HTTPAnswer(status, "text/plain; charset=utf-8", Array(text.utf8))
  }
}

/// What one client, and all together, may take.
public struct HTTPLimits: Sendable {
  /// Connections at a time; one more is answered 503 and closed. Lower where the system allows the process fewer
  /// descriptors.
  public var connectionsMax: Int
  /// Bytes of one request's body.
  public var bodyBytesMax: Int
  /// Bytes of all bodies that are being received or answered.
  public var bodiesBytesMax = 64 << 20
  /// Bytes of one request's headers.
  public var headerBytesMax = 16 << 10
  /// Seconds until a new connection has sent its first request's headers, and any request its body.
  public var readSeconds: Int64 = 10
  /// Seconds until a client has taken an answer.
  public var writeSeconds: Int64 = 10
  /// Seconds that a connection may be kept without a request.
  public var idleSeconds: Int64 = 75

  /// Limits with defaults.
  public init(connectionsMax: Int, bodyBytesMax: Int) {
    self.connectionsMax = connectionsMax
    self.bodyBytesMax = bodyBytesMax
  }
}
