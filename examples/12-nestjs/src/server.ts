/** An API whose orders are safe to retry. */

import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.ts';

const app = await NestFactory.create(AppModule);
// SIGTERM stops Apollo Server, which lets the calls under way end and closes the library's connections.
app.enableShutdownHooks();
await app.listen(Number(process.env['PORT'] ?? 4000), '127.0.0.1');
console.log(`ready ${await app.getUrl()}/graphql`);
