export const env = {};
export const InferenceSession = {};
export class Tensor {}
export default {};
