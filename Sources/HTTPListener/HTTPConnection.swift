import NIOCore
import NIOHTTP1

/// One connection: reads a request whole, has it answered, reads the next. On its event loop.
final class HTTPConnection: ChannelInboundHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  /// Asks a connection to close when it has no request.
  struct Drain: Sendable {}

  private enum State {
    case waiting
    case receiving(HTTPRequestHead, [UInt8])
    /// The rest of a request that was refused: it is not kept.
    case ignoring
    case answering
    case closing
  }

  private static let lingerSeconds: Int64 = 2
  private let limits: HTTPLimits
  private let connections: HTTPConnections
  private let responder: HTTPListener.Responder
  private var state = State.waiting
  /// Of the bodies' budget.
  private var bytesTaken = 0
  /// When the connection is closed unless something comes before.
  private var deadline = NIODeadline.distantFuture
  /// When it is looked at next: not after the deadline. Deadlines move with every request, and this seldom.
  private var look = NIODeadline.distantFuture
  private var timer: Scheduled<Void>?
  /// Tells a late answer from that of the present request.
  private var number = 0

  init(_ limits: HTTPLimits, _ connections: HTTPConnections, _ responder: @escaping HTTPListener.Responder) {
    self.limits = limits
    self.connections = connections
    self.responder = responder
  }

  func handlerAdded(context: ChannelHandlerContext) {
    connections.add(context.channel)
    expect(within: limits.readSeconds, context)
  }

  func channelInactive(context: ChannelHandlerContext) {
    timer?.cancel()
    state = .closing
    giveBack()
    connections.remove(context.channel)
    context.fireChannelInactive()
  }

  /// Closes the connection unless something comes within some seconds.
  private func expect(within seconds: Int64, _ context: ChannelHandlerContext) {
    deadline = .now() + .seconds(seconds)
    if deadline < look { lookLater(context) }
  }

  private func lookLater(_ context: ChannelHandlerContext) {
    timer?.cancel()
    look = min(deadline, .now() + .seconds(min(limits.readSeconds, limits.writeSeconds)))
    timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: look) { [self] in
      if deadline <= .now() { close(context) } else { lookLater(context) }
    }
  }

  private func close(_ context: ChannelHandlerContext) {
    state = .closing
    context.close(promise: nil)
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch (unwrapInboundIn(data), state) {
    case (.head(let head), .waiting): begin(head, context)
    case (.body(var part), .receiving(let head, var body)):
      guard body.count + part.readableBytes <= limits.bodyBytesMax else {
        return refuse(413, "the body has more than \(limits.bodyBytesMax) bytes", head, context)
      }
      guard connections.take(part.readableBytes) else {
        return refuse(503, "too many requests are being received", head, context)
      }
      bytesTaken += part.readableBytes
      state = .waiting
      body += part.readBytes(length: part.readableBytes) ?? []
      state = .receiving(head, body)
    case (.end, .receiving(let head, let body)): respond(head, body, context)
    case (.end, .ignoring): close(context)
    default: break
    }
  }

  private func begin(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
    if let length = head.headers.first(name: "content-length").flatMap(Int.init), length > limits.bodyBytesMax
    {
      return refuse(413, "the body has more than \(limits.bodyBytesMax) bytes", head, context)
    }
    state = .receiving(head, [])
    expect(within: limits.readSeconds, context)
    guard head.headers.first(name: "expect")?.lowercased() == "100-continue" else { return }
    context.writeAndFlush(
      wrapOutboundOut(.head(HTTPResponseHead(version: head.version, status: .continue))), promise: nil)
  }

  /// Answers before the request is whole, and closes: what follows can't be told from the next request.
  private func refuse(
    _ status: Int, _ reason: String, _ head: HTTPRequestHead, _ context: ChannelHandlerContext
  ) {
    deadline = .distantFuture
    state = .ignoring
    let title = HTTPResponseStatus(statusCode: status).reasonPhrase
    var answer = HTTPAnswer(
      status, "application/problem+json",
      Array(
        "{\"type\":\"about:blank\",\"title\":\"\(title)\",\"status\":\(status),\"detail\":\"\(reason)\"}\n"
          .utf8))
    if status == 503 { answer.headers.append(("retry-after", "1")) }
    write(answer, head, keepsAlive: false, context)
  }

  private func respond(_ head: HTTPRequestHead, _ body: [UInt8], _ context: ChannelHandlerContext) {
    deadline = .distantFuture
    state = .answering
    number += 1
    let request = number
    let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    let loop = context.eventLoop
    responder(HTTPRequest(head, body, loop)) { answer in
      let reply: @Sendable () -> Void = {
        let (connection, context) = bound.value
        connection.answer(answer, request, head, context)
      }
      if loop.inEventLoop { reply() } else { loop.execute(reply) }
    }
  }

  private func answer(
    _ answer: HTTPAnswer, _ request: Int, _ head: HTTPRequestHead, _ context: ChannelHandlerContext
  ) {
    // The client may have gone, and nobody is answered twice.
    guard case .answering = state, request == number else { return }
    giveBack()
    write(answer, head, keepsAlive: head.isKeepAlive && !connections.isDraining, context)
  }

  private func write(
    _ answer: HTTPAnswer, _ head: HTTPRequestHead, keepsAlive: Bool, _ context: ChannelHandlerContext
  ) {
    var headers = HTTPHeaders()
    headers.add(name: "content-type", value: answer.contentType)
    headers.add(name: "content-length", value: "\(answer.body.count)")
    for (name, value) in answer.headers { headers.add(name: name, value: value) }
    headers.add(name: "connection", value: keepsAlive ? "keep-alive" : "close")
    // The next request waits until this answer has been taken: a client that only asks makes no queue.
    let taken = context.eventLoop.makePromise(of: Void.self)
    expect(within: limits.writeSeconds, context)
    let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    taken.futureResult.whenComplete { result in
      let (connection, context) = bound.value
      guard case .success = result else { return connection.close(context) }
      connection.finish(keepsAlive: keepsAlive, context)
    }
    let status = HTTPResponseStatus(statusCode: answer.status)
    let first = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
    guard head.method != .HEAD else {
      return context.writeAndFlush(wrapOutboundOut(.head(first)), promise: taken)
    }
    context.write(wrapOutboundOut(.head(first)), promise: nil)
    var buffer = context.channel.allocator.buffer(capacity: answer.body.count)
    buffer.writeBytes(answer.body)
    context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(buffer))), promise: taken)
  }

  private func finish(keepsAlive: Bool, _ context: ChannelHandlerContext) {
    // Closed with something unread, the connection would be reset, and the answer lost.
    if case .ignoring = state { return expect(within: Self.lingerSeconds, context) }
    guard keepsAlive else { return close(context) }
    state = .waiting
    expect(within: limits.idleSeconds, context)
    context.write(wrapOutboundOut(.end(nil)), promise: nil)
  }

  private func giveBack() {
    connections.giveBack(bytesTaken)
    bytesTaken = 0
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if event is Drain, case .waiting = state { return close(context) }
    context.fireUserInboundEventTriggered(event)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { close(context) }
}
