export class Uploads {}
